package badgerstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2"
)

// Badger v4.9.6 opens its tables in goroutines of its own, and panics there on one that
// was cut, or whose index or blocks are damaged: that ends the process, and nobody can
// catch it. So every table is read here first, by Badger's own package, in a goroutine
// that can: what is unsound is an error, and the views are made anew at once. Badger is
// then told not to read everything a second time.
//
// It was met in 2% of the runs that damage a folder; a child process that tries the
// opening first was weighed too, and takes twice the time for what this does as well.

// errUnsound says that a table, or the list of them, is damaged. It is wrapped with what
// was found.
var errUnsound = errors.New("a file of the views is damaged")

// readers is how many tables are read at once: reading and decrypting overlap.
const readers = 2

// sound reads every table that the MANIFEST lists and checks each block of it. A folder
// without a MANIFEST has nothing to read.
func (s *Store) sound(o badger.Options) error {
	fp, err := os.Open(filepath.Join(s.dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer fp.Close()
	manifest, end, err := badger.ReplayManifestFile(fp, formatMagic, o)
	if err != nil {
		return err
	}
	if s.clean() {
		if err := s.wholeList(fp, end, manifest.Tables); err != nil {
			return err
		}
	}
	if len(manifest.Tables) == 0 {
		return nil
	}
	keys, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{
		Dir: s.dir, ReadOnly: true, EncryptionKey: s.key[:], EncryptionKeyRotationDuration: o.EncryptionKeyRotationDuration,
	})
	if err != nil {
		return err
	}
	defer keys.Close()
	// Badger reads the index of an encrypted table through a cache or not at all.
	indexes, err := ristretto.NewCache(&ristretto.Config[uint64, *fb.TableIndex]{NumCounters: 64, MaxCost: 2 << 20, BufferItems: 64})
	if err != nil {
		return err
	}
	defer indexes.Close()
	each := y.NewThrottle(readers)
	for id, tm := range manifest.Tables {
		key, err := keys.DataKey(tm.KeyID)
		if err == nil {
			err = each.Do() // waits for a place, and tells of the first failure
		}
		if err != nil {
			return errors.Join(err, each.Finish())
		}
		go func() {
			each.Done(soundTable(s.dir, id, table.Options{
				ReadOnly: true, Compression: tm.Compression, DataKey: key, IndexCache: indexes,
			}))
		}()
	}
	return each.Finish()
}

// wholeList finds a MANIFEST that was cut or is an old copy: Badger would take the tables
// it does not name for leftovers of a crash and delete them. After a clean stop there are
// none: no entry is half written, and no table is newer than all that are named.
func (s *Store) wholeList(list *os.File, end int64, named map[uint64]badger.TableManifest) error {
	st, err := list.Stat()
	if err != nil {
		return err
	}
	if st.Size() != end {
		return fmt.Errorf("%w: %s was cut", errUnsound, badger.ManifestFilename)
	}
	var newest uint64
	for id := range named {
		newest = max(newest, id)
	}
	tables, err := filepath.Glob(filepath.Join(s.dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range tables {
		if id, ok := table.ParseFileID(path); ok && id > newest {
			return fmt.Errorf("%w: %s does not name %s", errUnsound, badger.ManifestFilename, filepath.Base(path))
		}
	}
	return nil
}

// soundTable reads one table. It is read, not mapped: a sector that cannot be had is an
// error then.
func soundTable(dir string, id uint64, o table.Options) (err error) {
	raw, err := os.ReadFile(table.NewFilename(id, dir))
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil { // not its value, which holds bytes of the table
			err = fmt.Errorf("%w: %s: reading it panics (%T)", errUnsound, table.IDToFilename(id), r)
		}
	}()
	t, err := table.OpenInMemoryTable(raw, id, &o)
	if err == nil {
		err = t.VerifyChecksum()
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errUnsound, table.IDToFilename(id), err)
	}
	return nil
}
