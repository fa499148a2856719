package oplog

// Span says which ops a batch holds, without checking more than its form. Fault: Invalid
// "fault.oplog.bad_batch".
func Span(raw []byte) (log LogID, first, last uint64, err error) {
	b, err := parseBatch(raw)
	if err != nil {
		return log, 0, 0, errBadBatch(err)
	}
	return b.log, b.first, b.last(), nil
}
