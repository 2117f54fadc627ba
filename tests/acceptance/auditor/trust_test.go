// trust_test.go: which signatures suffice for a directory, with a council of five and a threshold of three.

package main

import "testing"

type council struct {
	*world
	trust *trust
	chair []*signer
}

func newCouncil(t *testing.T) *council {
	w := newWorld()
	w.documents, w.dir, w.versions, w.hashes = files{}, nil, map[string]uint64{}, map[string]hash{}
	c := &council{world: w}
	var keys list
	for _, name := range []string{"d1", "d2", "d3", "d4", "d5"} {
		c.chair = append(c.chair, w.key(name))
		keys = append(keys, w.key(name).public)
	}
	root := w.key("r1")
	w.document("root", "", []*signer{root}, "test", list{1, list{root.public}}, list{3, keys}, list{1})
	c.trust = newTrust(w.community)
	c.take(t, true)
	c.propose(3, nil)
	c.take(t, true)
	return c
}

// propose logs the next directory, changed, with the signatures of so many of the five.
func (c *council) propose(signers int, change func(states list, rest list) (list, list)) {
	hub := c.key("HUB coordinator")
	var states list
	for _, code := range c.states {
		status := "active"
		if c.suspended[code] {
			status = "suspended"
		}
		states = append(states, list{code, code, status, c.key(code + " identity").public, uint64(7)})
	}
	if c.pops == nil {
		c.pops = list{"HUB", "hub", "wss://hub/", hub.public, c.pop("HUB", "coordinator", hub),
			list{[]byte("certificate")}, c.note("HUB", "log", "hub/log")}
	}
	rest := list{list{c.pops}, list{}}
	if change != nil {
		states, rest = change(states, rest)
	}
	body := append(list{1, states}, rest...)
	c.document("directory", "", c.chair[:signers], body...)
}

// take lets the newest document be judged, and takes it over or back.
func (c *council) take(t *testing.T, good bool) {
	t.Helper()
	at := uint64(len(c.dir) - 1)
	d, err := parseDocument(c.documents["dir/documents/"+tilePath(at)])
	if err != nil {
		t.Fatal(err)
	}
	err = c.trust.check(d, nil)
	if good != (err == nil) {
		t.Error("document", at, "of kind", d.kind, err)
	}
	if err == nil {
		c.trust.apply(d)
		return
	}
	c.versions["directory"]--
	c.hashes["directory"] = c.trust.directory.id
}

func TestSuspension(t *testing.T) {
	c := newCouncil(t)
	c.suspended["XBB"] = true
	c.propose(1, nil)
	c.take(t, false)
	c.propose(2, nil) // two suffice to suspend
	c.take(t, true)
	c.suspended["XBB"] = false
	c.propose(2, nil) // but not to reinstate
	c.take(t, false)
	c.suspended["XAA"] = true
	c.propose(2, nil) // not even together with a suspension
	c.take(t, false)
	c.suspended["XAA"] = false
	c.propose(3, nil)
	c.take(t, true)
	c.propose(2, nil) // nor to change nothing
	c.take(t, false)
	c.suspended["XCC"] = true
	for name, change := range map[string]func(states, rest list) (list, list){
		"another name": func(s, r list) (list, list) { s[0].(list)[1] = "another"; return s, r },
		"another key":  func(s, r list) (list, list) { s[0].(list)[3] = c.key("new identity").public; return s, r },
		"another time": func(s, r list) (list, list) { s[2].(list)[4] = uint64(8); return s, r },
		"one fewer":    func(s, r list) (list, list) { return s[:len(s)-1], r },
		"no hub":       func(s, r list) (list, list) { return s, list{list{}, r[1]} },
		"a compromise": func(s, r list) (list, list) { return s, list{r[0], list{list{"XAA", hash{1}, uint64(1)}}} },
	} {
		c.propose(2, change)
		c.take(t, false)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	c.now += 1000
	c.propose(2, nil) // the expiry grows with the time of issue
	c.take(t, false)
	c.now -= 1000
	c.propose(2, nil)
	c.take(t, true)
}
