package control

// Values are the alert's arguments with whole numbers as integers again: JSON
// knows only floats, and 1234567.0 would be printed as 1.234567e+06.
func (a Alert) Values() map[string]any {
	out := make(map[string]any, len(a.Args))
	for k, v := range a.Args {
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			v = int64(f)
		}
		out[k] = v
	}
	return out
}
