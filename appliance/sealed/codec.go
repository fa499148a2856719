package sealed

import "github.com/fxamacker/cbor/v2"

// Bodies, rows and what is inside is deterministic CBOR (RFC 8949 section 4.2.1).
var (
	encMode = mustEncMode()
	decMode = mustDecMode()
)

func mustEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.ByteArray = cbor.ByteArrayToByteSlice
	m, err := o.EncMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}

func mustDecMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 16384, MaxMapPairs: 64, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}

// encode cannot fail: only this package's own plain types are given to it.
func encode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic("sealed: " + err.Error())
	}
	return b
}

func decode(b []byte, v any) error { return decMode.Unmarshal(b, v) }
