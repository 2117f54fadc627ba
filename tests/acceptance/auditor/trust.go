// trust.go: which documents are believed, and which key may therefore speak for whom (documents.md). `check` decides
// and changes nothing, `apply` takes over; so the same documents can be gone through again without verifying them
// again.

package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

const clockSkewMs = 600000

type signedManifest struct {
	*document
	identity string // the identity key that signed it
}

type trust struct {
	pinned       hash
	root         *document
	directory    *document
	chains       map[string]*document // newest of each chain
	bodies       map[hash]bool
	manifests    map[string]signedManifest
	revoked      map[string]map[hash]uint64 // state: key: the first revocation's time
	owners       map[string]string          // key, certificate or name: who has it, as what
	directories  map[uint64]hash
	offered      map[string]map[hash]bool // prekeys of a state, in any version
	publications map[string]int
	former       map[string]replacedKey // coordinator/key id: a statement key that a directory replaced
}

type replacedKey struct {
	key []byte
	in  uint64 // the version of that directory
}

func newTrust(pinned hash) *trust {
	return &trust{pinned: pinned, chains: map[string]*document{}, bodies: map[hash]bool{},
		manifests: map[string]signedManifest{}, revoked: map[string]map[hash]uint64{}, owners: map[string]string{},
		directories: map[uint64]hash{}, offered: map[string]map[hash]bool{}, publications: map[string]int{}, former: map[string]replacedKey{}}
}

func (t *trust) member(code string) *member {
	if t.directory != nil {
		for i := range t.directory.states {
			if t.directory.states[i].code == code {
				return &t.directory.states[i]
			}
		}
	}
	return nil
}

func (t *trust) coordinator(code string) *coordinator {
	if t.directory != nil {
		for i := range t.directory.coordinators {
			if t.directory.coordinators[i].code == code {
				return &t.directory.coordinators[i]
			}
		}
	}
	return nil
}

// manifest is the state's manifest, if the present identity key has signed it.
func (t *trust) manifest(code string) *document {
	m, ok := t.manifests[code]
	s := t.member(code)
	if !ok || s == nil || m.identity != string(s.identity) {
		return nil
	}
	return m.document
}

// witnesses are the active states whose manifest is in force; active counts the others too.
func (t *trust) witnesses() (out []witness, active int) {
	if t.directory == nil {
		return nil, 0
	}
	for _, s := range t.directory.states {
		if !s.active {
			continue
		}
		active++
		if m := t.manifest(s.code); m != nil {
			out = append(out, witness{s.code, m.witness})
		}
	}
	return out, active
}

// compromisedSince is the time from which on governance confirms that a key was in foreign hands.
func (t *trust) compromisedSince(party string, id hash) (uint64, bool) {
	if t.directory != nil {
		for _, x := range t.directory.compromised {
			if x.party == party && x.keyID == id {
				return x.since, true
			}
		}
	}
	return 0, false
}

// withdrawnSince is the earliest time from which on a key does not count, as its state or governance says.
func (t *trust) withdrawnSince(party string, id hash) (uint64, bool) {
	own, revoked := t.revoked[party][id]
	since, stolen := t.compromisedSince(party, id)
	switch {
	case revoked && stolen:
		return min(own, since), true
	case revoked:
		return own, true
	}
	return since, stolen
}

func (t *trust) suiteAllowed(suite uint64) bool {
	return t.root != nil && contains(t.root.suites, suite) && suite == knownSuite
}

func contains(list []uint64, x uint64) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// speaker is a key that may speak, and for how long.
type speaker struct {
	key       []byte
	from, end uint64 // end is exclusive
	bounded   bool   // whether it ends at all
}

var errSigner = errors.New("no trusted document gives this key this role for this party")

func (t *trust) speaker(party string, id hash, role string) (speaker, error) {
	if role == "coordinator" {
		if c := t.coordinator(party); c != nil && signingKeyID(c.key) == id {
			return speaker{key: c.key, end: maxUint}, nil
		}
		return speaker{}, errSigner
	}
	s, m := t.member(party), t.manifest(party)
	if s == nil || !s.active || m == nil {
		return speaker{}, fmt.Errorf("%w: %s is not active, or has no manifest in force", errSigner, party)
	}
	for _, k := range m.keys {
		if k.id == id && k.role == role {
			return speaker{key: k.key, from: k.from, end: min(k.until, m.expires), bounded: true}, nil
		}
	}
	return speaker{}, errSigner
}

// check refuses a document at the first step that fails. now is nil where the time of issue was judged before.
func (t *trust) check(d *document, now *uint64) error {
	if t.bodies[d.id] {
		return nil
	}
	if now != nil && d.issued > *now+clockSkewMs {
		return errors.New("clock-skew: it was issued later than it was recorded")
	}
	if d.community == nil && d.id != t.pinned || d.community != nil && *d.community != t.pinned {
		return errors.New("wrong-community: it does not follow from the pinned root hash")
	}
	if d.kind != "root" && t.root == nil || d.state != "" && t.directory == nil {
		return errors.New("version-gap: root and directory come first")
	}
	last, present := t.chains[d.chain()], uint64(0)
	if last != nil {
		present = last.version
	}
	if d.version > present+1 {
		return fmt.Errorf("version-gap: version %d after %d", d.version, present)
	}
	if d.kind == "root" {
		for _, k := range append(append([][]byte{}, d.rootKeys.keys...), d.dirKeys.keys...) {
			if err := admit(k); err != nil {
				return err
			}
		}
	}
	if err := t.checkSigned(d); err != nil {
		return err
	}
	if d.version <= present {
		return fmt.Errorf("forked: a signed version %d that differs from the trusted one", d.version)
	}
	if last != nil && *d.previous != last.id {
		return errors.New("forked: it continues other bytes than the trusted document")
	}
	if d.kind == "directory" {
		if d.rootVersion > t.root.version {
			return errors.New("version-gap: the directory names a newer root")
		}
		if t.directory != nil && d.rootVersion < t.directory.rootVersion {
			return errors.New("rolled-back: the directory names an older root")
		}
		if err := t.stillCompromised(d); err != nil {
			return err
		}
	}
	if err := t.checkKeys(d); err != nil {
		return err
	}
	if err := t.checkPossession(d); err != nil {
		return err
	}
	if d.kind == "root" && !contains(d.suites, knownSuite) {
		return errors.New("suite-refused: the root allows no known suite")
	}
	if d.kind == "manifest" {
		for _, s := range d.suites {
			if contains(t.root.suites, s) {
				return nil
			}
		}
		return errors.New("suite-refused: the manifest supports nothing that the root allows")
	}
	return nil
}

// stillCompromised refuses a directory that takes a compromise back, or moves its time to later.
func (t *trust) stillCompromised(d *document) error {
	since := map[string]uint64{}
	for _, x := range d.compromised {
		since[x.place()] = x.since
	}
	if t.directory == nil {
		return nil
	}
	for _, x := range t.directory.compromised {
		if now, ok := since[x.place()]; !ok || now > x.since {
			return errors.New("rolled-back: the directory takes back that a key of " + x.party + " was compromised")
		}
	}
	return nil
}

func (d *document) signedBy(key []byte) bool {
	id := signingKeyID(key)
	for _, s := range d.signatures {
		if s.keyID == id && verify(d.kind, key, d.body, alone(s.signature)) == nil {
			return true
		}
	}
	return false
}

func (d *document) signedByThreshold(t threshold) error {
	count := 0
	for _, key := range t.keys { // all different
		if d.signedBy(key) {
			count++
		}
	}
	if count < t.need {
		return fmt.Errorf("threshold-not-met: %d of %d signatures", count, t.need)
	}
	return nil
}

// onlySuspends says whether d is the directory before it, except that active states are suspended.
func (d *document) onlySuspends(before *document) bool {
	const version, previous, issued, states = 3, 4, 5, 8
	was, is := decode(before.body).items, decode(d.body).items
	some := false
	for place := range is {
		switch place {
		case version, previous, issued:
		case states:
			if len(was[states].items) != len(is[states].items) {
				return false
			}
			for i := range d.states {
				old, new := was[states].items[i].items, is[states].items[i].items
				if before.states[i].active && !d.states[i].active {
					some = true
					old = append(append(append([]value{}, old[:2]...), new[2]), old[3:]...) // 2 is the status
				}
				if !reflect.DeepEqual(old, new) {
					return false
				}
			}
		default:
			if !reflect.DeepEqual(was[place], is[place]) {
				return false
			}
		}
	}
	return some
}

func (t *trust) checkSigned(d *document) error {
	switch d.kind {
	case "root":
		if t.root != nil {
			if err := d.signedByThreshold(t.root.rootKeys); err != nil {
				return err
			}
		}
		return d.signedByThreshold(d.rootKeys)
	case "directory":
		need := t.root.dirKeys
		if t.directory != nil && d.onlySuspends(t.directory) {
			need.need = min(2, need.need)
		}
		return d.signedByThreshold(need)
	case "manifest", "publication":
		s := t.member(d.state)
		if s == nil {
			return errors.New("unknown-signer: the directory does not list " + d.state)
		}
		if !d.signedBy(s.identity) {
			return errors.New("bad-signature: not signed by the state's identity key")
		}
	case "prekeys":
		m := t.manifest(d.state)
		if m == nil {
			return errors.New("unknown-signer: the state has no manifest in force")
		}
		for _, k := range m.keys {
			_, revoked := t.withdrawnSince(d.state, k.id)
			if k.role == "node" && !revoked && k.from <= d.issued && d.issued < k.until && d.signedBy(k.key) {
				return nil
			}
		}
		return errors.New("bad-signature: not signed by a node key of the state")
	}
	return nil
}

type claim struct{ thing, owner string }

// claims are the keys, certificates and names that a document takes, and for whom.
func (d *document) claims() (out []claim) {
	add := func(sort string, thing []byte, owner string) {
		out = append(out, claim{sort + "\n" + string(thing), owner})
	}
	note := func(k noteKeys, owner string) {
		add("ed25519", k.ed, owner)
		add("mldsa44", k.lattice, owner)
		add("name", []byte(k.name), owner)
	}
	for _, k := range append(append([][]byte{}, d.rootKeys.keys...), d.dirKeys.keys...) {
		add("key", k, "governance")
	}
	for _, s := range d.states {
		add("key", s.identity, s.code+" identity")
	}
	for _, c := range d.coordinators {
		add("key", c.key, c.code+" coordinator")
		for _, x := range c.certificates {
			add("certificate", x, c.code)
		}
		note(c.log, c.code+" log")
	}
	for _, k := range d.keys {
		add("key", k.key, d.state+" "+k.role)
	}
	for _, x := range d.certificates {
		add("certificate", x, d.state)
	}
	if d.kind == "manifest" {
		note(d.witness, d.state+" witness")
	}
	return out
}

func (t *trust) checkKeys(d *document) error {
	own := map[string]string{}
	for _, c := range d.claims() {
		for _, owners := range []map[string]string{t.owners, own} {
			if owner, ok := owners[c.thing]; ok && owner != c.owner {
				return fmt.Errorf("key-refused: a key, certificate or name of %s is already that of %s", c.owner, owner)
			}
		}
		own[c.thing] = c.owner
		var err error
		switch sort, thing := cut(c.thing); sort {
		case "key":
			err = admit([]byte(thing))
		case "ed25519":
			err = admitEd25519([]byte(thing))
		}
		if err != nil {
			return err
		}
	}
	if d.kind == "manifest" && !strings.HasSuffix(d.witness.name, "/"+d.state) {
		return errors.New("key-refused: the name of a witness ends with its state's code")
	}
	if d.kind == "prekeys" {
		for _, other := range t.chains {
			if other.kind != "prekeys" || other.state == d.state {
				continue
			}
			for _, theirs := range other.prekeys {
				for _, ours := range d.prekeys {
					if string(theirs) == string(ours) {
						return errors.New("key-refused: a prekey is also another state's")
					}
				}
			}
		}
	}
	if d.kind == "publication" && d.version == 1 && t.publications[d.state] >= 64 {
		return errors.New("too-large: the state has too many publications")
	}
	return nil
}

func cut(s string) (string, string) {
	for i := range s {
		if s[i] == '\n' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func short(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func (t *trust) checkPop(code, role string, key []byte, p proof) error {
	message := append(short(code), short(role)...)
	message = append(message, key...)
	message = append(message, t.pinned[:]...)
	if err := verify("pop", key, message, p); err != nil {
		return fmt.Errorf("proof of possession of a key of %s: %w", code, err)
	}
	return nil
}

func (t *trust) checkNotePop(code, role string, k noteKeys) error {
	m := []byte("almenara/1/note-pop\x00")
	m = append(m, short(code)...)
	m = append(m, short(role)...)
	m = append(m, short(k.name)...)
	m = append(m, k.ed...)
	m = append(m, k.lattice...)
	m = append(m, t.pinned[:]...)
	if !ed25519.Verify(k.ed, m, k.possession[:64]) ||
		!verifyLattice(k.lattice, m, k.possession[64:], "almenara/1/pop") {
		return fmt.Errorf("bad-signature: proof of possession of the %s keys of %s", role, code)
	}
	return nil
}

func (t *trust) checkPossession(d *document) error {
	for _, c := range d.coordinators {
		if err := t.checkPop(c.code, "coordinator", c.key, c.possession); err != nil {
			return err
		}
		if err := t.checkNotePop(c.code, "log", c.log); err != nil {
			return err
		}
	}
	for _, k := range d.keys {
		if err := t.checkPop(d.state, k.role, k.key, k.possession); err != nil {
			return err
		}
	}
	if d.kind == "manifest" {
		return t.checkNotePop(d.state, "witness", d.witness)
	}
	return nil
}

// apply takes over a document that check has accepted.
func (t *trust) apply(d *document) {
	if t.bodies[d.id] {
		return
	}
	t.bodies[d.id] = true
	t.chains[d.chain()] = d
	for _, c := range d.claims() {
		t.owners[c.thing] = c.owner
	}
	switch d.kind {
	case "root":
		t.root = d
	case "directory":
		if t.directory != nil {
			for _, c := range t.directory.coordinators {
				listed := false
				for _, n := range d.coordinators {
					listed = listed || string(n.key) == string(c.key)
				}
				if id := signingKeyID(c.key); !listed {
					t.former[c.code+"/"+string(id[:])] = replacedKey{c.key, d.version}
				}
			}
		}
		t.directory = d
		for _, s := range d.states {
			if m, ok := t.manifests[s.code]; ok && m.document.signedBy(s.identity) {
				t.manifests[s.code] = signedManifest{m.document, string(s.identity)}
			}
		}
		t.directories[d.version] = d.id
	case "manifest":
		t.manifests[d.state] = signedManifest{d, string(t.member(d.state).identity)}
		if t.revoked[d.state] == nil {
			t.revoked[d.state] = map[hash]uint64{}
		}
		for _, r := range d.revoked {
			if _, ok := t.revoked[d.state][r.keyID]; !ok {
				t.revoked[d.state][r.keyID] = min(r.at, d.issued)
			}
		}
	case "prekeys":
		if t.offered[d.state] == nil {
			t.offered[d.state] = map[hash]bool{}
		}
		for _, k := range d.prekeys {
			t.offered[d.state][prekeyID(k)] = true
		}
	case "publication":
		if d.version == 1 {
			t.publications[d.state]++
		}
	}
}
