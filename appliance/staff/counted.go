package staff

// RoleCount is how many accounts and bearer keys of this node work as a role.
type RoleCount struct {
	Role     Role `json:"role"`
	Accounts int  `json:"accounts"`
	Keys     int  `json:"keys"`
}

// WhoMay counts the accounts and keys of this node that may do x, by role in the order of
// Roles; roles that nobody has are left out. It names nobody. The actor has to be one of
// them. Faults: those of Must; the log's own.
func (d *Desk) WhoMay(actor Actor, x Action) ([]RoleCount, error) {
	if err := actor.Must(x); err != nil {
		return nil, err
	}
	accounts, keys := map[Role]int{}, map[Role]int{}
	for _, a := range d.snapshot() {
		if a.Replaced || !a.actor(d.site).Can(x) {
			continue
		}
		s, err := d.state(a)
		if err != nil {
			return nil, err
		}
		if s.known && !s.off {
			accounts[a.Role]++
		}
	}
	own, err := d.ownKeys([]byte{'k'})
	if err != nil {
		return nil, err
	}
	for _, k := range own {
		if key := (Actor{ID: idOf(k.subject), Role: k.fact.Role}); key.Can(x) && !k.revoked && !d.over(k.fact) {
			keys[key.Role]++
		}
	}
	out := []RoleCount{}
	for _, r := range Roles() {
		if accounts[r]+keys[r] > 0 {
			out = append(out, RoleCount{r, accounts[r], keys[r]})
		}
	}
	return out, nil
}
