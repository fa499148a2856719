package chunks

// Lacks reports whether a record names a piece that is not here.
func (s *Store) Lacks(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, lacking := s.lacking[id]
	return lacking
}
