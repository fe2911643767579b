package fair

// Sources is how many are kept in mind.
func (q *Queue) Sources() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sources)
}
