package kms

// InClear returns how many data keys the process has in the clear, and the bytes that
// they are counted for.
func (s *Sealer) InClear() (keys, bytes int) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for range s.keys.opened.All() {
		keys++
	}
	return keys, s.keys.opened.Bytes()
}

// The limits of the data keys in the clear.
const (
	MaxAge      = maxAge
	MaxSeals    = maxSeals
	OpenedBytes = openedBytes
)
