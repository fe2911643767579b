package livequery

// Ask pings the clients of an installation ("": all) and returns the moment of it.
func (h *Hub) Ask(installation string) int64 {
	now := h.clock()
	for _, c := range h.of(installation) {
		c.ping()
	}
	return now
}

// Acked reports whether these clients have had all until a moment.
func (h *Hub) Acked(installation string, moment int64) bool {
	for _, c := range h.of(installation) {
		if c.acknowledged() < moment {
			return false
		}
	}
	return true
}

// Networks is how many networks are known.
func (h *Hub) Networks() int {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	return len(h.ledger.networks)
}

func (h *Hub) of(installation string) []*client {
	h.mu.Lock()
	clients := h.list()
	h.mu.Unlock()
	if installation == "" {
		return clients
	}
	h.lost.mu.Lock()
	defer h.lost.mu.Unlock()
	var out []*client
	for key, sub := range h.lost.live {
		if key.installation == installation {
			out = append(out, sub.client)
		}
	}
	return out
}
