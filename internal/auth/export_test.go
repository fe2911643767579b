package auth

// BoundRoles changes how many roles and links between them are kept in memory.
func (s *Service) BoundRoles(roles, links int) {
	s.graph.maxRoles, s.graph.maxLinks = roles, links
}

// Forget forgets everything that is kept in memory.
func (s *Service) Forget() { s.hear(nil) }

// Wait waits for what is done in the background.
func (s *Service) Wait() { s.background.Wait() }
