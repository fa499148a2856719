package badgerstore

// Sizes is how large Badger's parts are on a disk, and how much of that disk nobody
// else may have. It is worked out here and nowhere else.
type Sizes struct {
	MemTable int64  // bytes of a table in memory; 15% of it is what one transaction may hold
	Floor    uint64 // with less than this many bytes free, nothing more is written
	Ballast  uint64 // bytes of a file kept in reserve; it is deleted below the floor
}

// On a disk of 256 MB and more a table in memory has 8 MB, on a smaller one a part of
// it: on 32 MB, where 26 MB are left after ext4's own, 1 MB.
const (
	mostMemTable  = 8 << 20
	leastMemTable = 1 << 20
	mostCompacted = 80 << 20
)

// SizesFor are the sizes for the file system that holds dir.
//
// Below the floor commands are refused, and Badger finishes what it has begun. That is
// at most: both tables in memory written out and the log of the one in use filled (3
// tables), and one compaction. The largest compaction takes a table and what it overlaps
// below, which grows with the views and so with the disk: 1% of it, at most 80 MB (a
// table of 4 MB over ten of 8 MB, at half a gigabyte of views). The ballast is three
// tables more. It is let go at the floor, so that others who fill the disk meanwhile meet
// it first.
func SizesFor(dir string) Sizes { return sizesOf(diskSize(dir)) }

func sizesOf(total uint64) Sizes {
	if total == 0 { // the system does not say
		total = 1 << 40
	}
	m := min(max(total/32, leastMemTable), mostMemTable)
	return Sizes{MemTable: int64(m), Floor: 3*m + min(total/100, mostCompacted), Ballast: 3 * m} //nolint:gosec // at most 8 MB
}

// roomToOpen is what Badger needs to go on where it was. With less it is not opened for
// writing, and begins no transaction.
func (z Sizes) roomToOpen() uint64 { return 2 * uint64(z.MemTable) } //nolint:gosec // at most 8 MB
