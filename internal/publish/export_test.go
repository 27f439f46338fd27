package publish

// OccupyParsersForTest takes every place for a large body, until leave is called.
func (s *Service) OccupyParsersForTest() (leave func()) {
	for range cap(s.parsers) {
		s.parsers <- struct{}{}
	}
	return func() {
		for range cap(s.parsers) {
			<-s.parsers
		}
	}
}
