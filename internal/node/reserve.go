package node

import (
	"fmt"
	"syscall"

	"github.com/sluicehq/sluice/internal/problem"
)

// defaultReserve is the space that publishes leave free unless the operator says
// otherwise: enough for stops, deletions, what deliveries save, and the steps that free
// space. On a small disk a twentieth of it has to do.
const (
	defaultReserve      = 256 << 20
	defaultReserveShare = 20
)

// reserve keeps some of the disk free from publishes, so that everything else can still
// be written.
type reserve struct {
	bytes     int64 // the setting; 0: none
	space     func() (free, total int64, err error)
	unwritten func() (int64, error) // what a checkpoint may take of the free space
	refused   func()                // called when a publish is refused
}

// check returns problem.Unavailable if a publish would use the reserve.
func (r *reserve) check() error {
	if r.bytes == 0 {
		return nil
	}
	free, total, err := r.space()
	if err != nil {
		return nil // the write itself tells
	}
	log, err := r.unwritten()
	if err != nil {
		return nil
	}
	want := r.bytes
	if want == defaultReserve {
		want = min(want, total/defaultReserveShare)
	}
	if free-log >= want {
		return nil
	}
	r.refused()
	const mib = 1 << 20
	return problem.Wrap(fmt.Errorf("%d MiB of the disk are free, of which the write-ahead log may need %d; the reserve is %d MiB: free some space, for example with sluice tenant purge",
		free/mib, log/mib, want/mib), problem.Unavailable,
		"The disk of the service is nearly full, so it accepts no events (SLUICE_DISK_RESERVE). Everything else works. Try again once its operator has freed some space.")
}

// spaceOf returns the space of the disk that a directory is on, for a user without
// privileges.
func spaceOf(dir string) (free, total int64, err error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, 0, err
	}
	size := int64(disk.Bsize) //nolint:unconvert // its type differs between systems
	return int64(disk.Bavail) * size, int64(disk.Blocks) * size, nil
}
