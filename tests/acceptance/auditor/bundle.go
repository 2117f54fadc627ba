// bundle.go: a whole bundle, in the order of bundle.md: documents, checkpoints, and every leaf of the ledger with the
// documents that counted at its place. What notices and times ask for is in notices.go.

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

const mergeMs, skewMs = 60000, 60000

const none = math.MaxUint64 // in place of a time

// entry is one statement that was there, and whether it counts.
type entry struct {
	leaf uint64
	*statement
}

// auditor holds what the reading has come to.
type auditor struct {
	*bundle
	r         *report
	pinned    hash
	dirTree   tree
	dirTimes  []uint64 // of the leaves of dir; none if malformed
	named     *uint64  // time of the last DIRECTORY whose documents count
	ackTree   tree
	ackTimes  []uint64
	documents []*document // by leaf of dir; nil: refused or not there
	all       *trust      // by all documents
	soFar     *trust      // by those that the last DIRECTORY named
	position  uint64      // how many leaves of dir that are
	entries   []entry     // statements that count
	ownFail   int         // statements that failed by themselves
	notices   map[hash]*notice
	clock     []tick
}

func leafName(i uint64) string { return fmt.Sprintf("leaf %d", i) }

func auditBundle(dir string, pinned hash, r *report) (string, error) {
	b, err := openBundle(dir, r)
	if err != nil || b == nil {
		return "", err
	}
	a := &auditor{bundle: b, r: r, pinned: pinned, all: newTrust(pinned), soFar: newTrust(pinned),
		notices: map[hash]*notice{}}
	if b.community != pinned {
		r.fail(listName, "`community` is not the pinned root hash")
	}
	b.checkNames(r)
	b.read("README.txt", r)
	dirLeaves, whole := a.leaves("dir", a.dirSize)
	ackLeaves, whole2 := a.leaves("ack", a.ackSize)
	if !whole || !whole2 {
		return "", nil
	}
	a.readDocuments(dirLeaves)
	a.checkPolicies()
	a.checkDirCheckpoint()
	a.readLedger(ackLeaves)
	a.checkSeries()
	a.checkTimes()
	a.checkCompromised()
	a.checkNotices()
	asOf := "nobody's word"
	if n := len(a.clock); n > 0 { // a bundle that stops early is whole in itself: the reader has to look at this
		asOf = instant(a.clock[n-1].ms)
	}
	return fmt.Sprintf("%d leaves and %d documents follow from the pinned root hash, with %d statements, signatures "+
		"all verified, as of %s", b.ackSize, b.dirSize, r.counts["statements"], asOf), nil
}

// leaves reads all entries of one log. Without all of them there is no root, and nothing further to say.
func (a *auditor) leaves(log string, size uint64) (out [][]byte, whole bool) {
	for _, name := range entryFiles(log, size) {
		data := a.read(name, a.r)
		want := min(packSpan, size-uint64(len(out)))
		got := uint64(0)
		for ; got < want && len(data) >= 2; got++ {
			n := int(binary.BigEndian.Uint16(data))
			if len(data) < 2+n {
				break
			}
			out = append(out, data[2:2+n:2+n])
			data = data[2+n:]
		}
		if got < want || len(data) > 0 {
			a.r.fail(name, "it does not hold exactly %d leaves; the reading ends here", want)
			return nil, false
		}
	}
	return out, true
}

// readDocuments is step 5.
func (a *auditor) readDocuments(leaves [][]byte) {
	a.documents = make([]*document, len(leaves))
	for i, leaf := range leaves {
		a.dirTree.add(leafHash(leaf))
		a.dirTimes = append(a.dirTimes, none)
		if len(leaf) >= 10 && binary.BigEndian.Uint64(leaf[2:]) <= maxTime {
			a.dirTimes[i] = binary.BigEndian.Uint64(leaf[2:])
		}
		name := "dir/documents/" + tilePath(uint64(i))
		data := a.read(name, a.r)
		if data == nil {
			continue
		}
		d, err := parseDocument(data)
		var now uint64
		if err == nil {
			now, err = documentLeaf(leaf, data, d)
		}
		if err == nil {
			err = a.all.check(d, &now)
		}
		if err != nil {
			a.r.fail(name, "%v", err)
			continue
		}
		a.all.apply(d)
		if d.kind != "manifest" || len(d.signatures) == 1 {
			d.signatures = nil // a second one may be by the identity key that the next directory names
		}
		a.documents[i] = d
		a.r.count("documents")
	}
}

// documentLeaf compares a leaf with the one of the document in hand, and gives its time.
func documentLeaf(leaf, signed []byte, d *document) (uint64, error) {
	wrong := errors.New("it is not the document of its leaf")
	if len(leaf) < 51 {
		return 0, wrong
	}
	want := append([]byte{1, documentTypes[d.kind]}, leaf[2:10]...)
	want = append(want, short(d.state)...)
	want = binary.BigEndian.AppendUint64(want, d.version)
	digest := tagged("leaf", signed)
	want = append(want, digest[:]...)
	now := binary.BigEndian.Uint64(leaf[2:])
	if !bytes.Equal(leaf, want) || now > maxTime {
		return 0, wrong
	}
	return now, nil
}

// checkPolicies is step 6.
func (a *auditor) checkPolicies() {
	c := a.all.coordinator(a.coordinator)
	witnesses, active := a.all.witnesses()
	for _, log := range []string{"ack", "dir"} {
		name := log + "/policy.txt"
		data := a.read(name, a.r)
		if c == nil {
			a.r.fail(name, "the documents name no coordinator %s", a.coordinator)
		} else if data != nil && !bytes.Equal(data, policy(c.log.name+"/"+log, c.log, witnesses, active)) {
			a.r.fail(name, "it is not the policy that follows from the documents")
		}
	}
}

// judgeCheckpoint verifies a checkpoint by one state of trust, and gives the time by which it was witnessed.
func (a *auditor) judgeCheckpoint(c *checkpoint, log string, t *trust) (uint64, error) {
	keys := t.coordinator(a.coordinator)
	if keys == nil {
		return 0, errors.New("the documents do not name the coordinator " + a.coordinator)
	}
	witnesses, active := t.witnesses()
	j, err := c.judge(keys.log.name+"/"+log, keys.log, witnesses)
	if err != nil {
		return 0, err
	}
	return j.witnessedMs(active)
}

// checkDirCheckpoint is step 7.
func (a *auditor) checkDirCheckpoint() {
	name := "dir/checkpoint"
	data := a.read(name, a.r)
	if data == nil {
		return
	}
	c, err := parseCheckpoint(data)
	if err == nil && c.size != a.dirSize {
		err = errors.New("its size is not the listed one")
	}
	if err == nil && c.root != a.dirTree.root(a.dirTree.size()) {
		err = errors.New("its root is not the one over the leaves")
	}
	if err == nil {
		_, err = a.judgeCheckpoint(c, "dir", a.all)
	}
	if err != nil {
		a.r.fail(name, "%v", err)
		return
	}
	a.r.count("checkpoints")
}

// pack reads the records of leaves 256·n and after.
func (a *auditor) pack(name string, n, record uint64) map[uint64][]byte {
	data := a.read(name, a.r)
	out := map[uint64][]byte{}
	next := n * packSpan
	for len(data) > 0 {
		if len(data) < 12 {
			a.r.fail(name, "the pack is cut off")
			break
		}
		index, length := binary.BigEndian.Uint64(data), uint64(binary.BigEndian.Uint32(data[8:]))
		if index < next || index >= min((n+1)*packSpan, a.ackSize) {
			a.r.fail(name, "a record's index does not rise, or is outside the pack")
			break
		}
		if length > record || length > uint64(len(data)-12) {
			a.r.fail(name, "a record is too large or cut off")
			break
		}
		out[index] = data[12 : 12+length : 12+length]
		data = data[12+length:]
		next = index + 1
	}
	return out
}

// readLedger is steps 8 to 12, 14 to 20.
func (a *auditor) readLedger(leaves [][]byte) {
	for _, leaf := range leaves {
		a.ackTree.add(leafHash(leaf))
	}
	var statements, headers map[uint64][]byte
	for i, leaf := range leaves {
		i := uint64(i)
		a.milestone(i)
		if i%packSpan == 0 {
			statements = a.pack("ack/statements/"+tilePath(i/packSpan), i/packSpan, maxStatement)
			headers = a.pack("ack/headers/"+tilePath(i/packSpan), i/packSpan, maxHeader)
		}
		a.oneLeaf(i, leaf, statements[i], headers[i])
	}
	a.milestone(a.ackSize)
	a.finalCheckpoint()
}

func (a *auditor) oneLeaf(i uint64, leaf, signed, header []byte) {
	where := leafName(i)
	a.ackTimes = append(a.ackTimes, none)
	if len(leaf) != 42 || leaf[0] != 1 || kinds[uint64(leaf[1])].name == "" ||
		binary.BigEndian.Uint64(leaf[2:]) > maxTime {
		a.r.fail(where, "the leaf is malformed")
		a.ownFail++
		return
	}
	recorded := binary.BigEndian.Uint64(leaf[2:])
	a.ackTimes[i] = recorded
	kind := uint64(leaf[1])
	if header != nil && kind != relayed {
		a.r.fail(where, "a manifest stands at a leaf that is not RELAYED")
	}
	if signed == nil {
		if kind == directoryKind || a.member == "" && i >= a.from {
			a.r.fail(where, "its statement has to be there and is not")
			a.ownFail++
		} else {
			a.r.skip(where, "its statement is not in the bundle")
		}
		a.heldBack(i, recorded)
		return
	}
	s, err := a.oneStatement(i, leaf, recorded, signed)
	if err != nil {
		a.r.fail(where, "%v", err)
		a.ownFail++
	}
	a.heldBack(i, recorded)
	if err != nil {
		return
	}
	a.wasShown(i, s)
	a.r.count("statements")
	a.entries = append(a.entries, entry{i, s})
	if s.kind == relayed {
		a.oneHeader(i, recorded, s, header)
	}
}

func (a *auditor) advance(position uint64) {
	for ; a.position < position; a.position++ {
		if d := a.documents[a.position]; d != nil {
			a.soFar.apply(d)
		}
	}
}

// heldBack is the last sentence of step 9, by the documents that this leaf's own statement has named.
func (a *auditor) heldBack(i, recorded uint64) {
	if a.position < a.dirSize && a.dirTimes[a.position] != none && recorded > a.dirTimes[a.position]+mergeMs {
		a.r.fail(leafName(i), "document %d was held back: no DIRECTORY has named it yet", a.position)
	}
}

// wasShown is steps 14 and 15; what is wrong there leaves the statement its weight.
func (a *auditor) wasShown(i uint64, s *statement) {
	if s.kind != directoryKind && s.seen != nil {
		name := ""
		if c := a.soFar.coordinator(a.coordinator); c != nil {
			name = c.log.name
		}
		known, tree, what := i, &a.ackTree, "ledger"
		switch s.seen.origin {
		case name + "/ack":
		case name + "/dir":
			known, tree, what = a.dirSize, &a.dirTree, "log of documents"
		default:
			known, tree = 0, nil
		}
		switch {
		case tree == nil:
			a.r.skip(leafName(i), "it names a checkpoint of another log")
		case s.seen.size > known && what != "ledger":
			a.r.skip(leafName(i), "it names %d leaves of the directory log, the bundle has %d", s.seen.size, known)
		case s.seen.size > known || s.seen.root != tree.root(s.seen.size):
			a.r.fail(leafName(i), "%v: its signer was shown another %s", s, what)
		}
	}
	if err := a.shownDirectory(i, s.directory); err != nil {
		a.r.fail(leafName(i), "%v: %v", s, err)
	}
}

// shownDirectory is step 15.
func (a *auditor) shownDirectory(i uint64, head directoryHead) error {
	known, ok := a.all.directories[head.version]
	if !ok {
		a.r.skip(leafName(i), "it names version %d of the directory, which is not in the bundle", head.version)
	} else if known != head.hash {
		return errors.New("its signer was shown another directory")
	}
	return nil
}

func (a *auditor) oneStatement(i uint64, leaf []byte, recorded uint64, signed []byte) (*statement, error) {
	digest := tagged("leaf", signed)
	if !bytes.Equal(digest[:], leaf[10:]) {
		return nil, fmt.Errorf("the statement is not, byte for byte, the one that the log holds")
	}
	s, err := parseStatement(signed)
	if err != nil {
		return nil, err
	}
	if s.kind != uint64(leaf[1]) {
		return nil, errors.New("the statement's kind is not the leaf's")
	}
	role := kinds[s.kind].role
	if s.kind == directoryKind {
		if err := a.directoryStatement(s, recorded); err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
	}
	if role == "coordinator" && s.party != a.coordinator {
		return nil, fmt.Errorf("%v: another coordinator than the ledger's", s)
	}
	err = a.signed(s.suite, s.party, s.keyID, role, s.at, recorded, leafName(i), "statement", s.body, s.proof)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	return s, nil
}

// directoryStatement is step 9. If `seen` is right, its documents count, whatever else is wrong.
func (a *auditor) directoryStatement(s *statement, recorded uint64) error {
	if s.seen.size < a.position || s.seen.size > a.dirSize {
		return errors.New("`seen` has an impossible size")
	}
	if s.seen.root != a.dirTree.root(s.seen.size) {
		return errors.New("`seen` is not the root over so many documents")
	}
	before := a.position
	a.advance(s.seen.size)
	c := a.soFar.coordinator(a.coordinator)
	if c == nil || s.seen.origin != c.log.name+"/dir" {
		a.soFar, a.position = newTrust(a.pinned), 0
		a.advance(before)
		return errors.New("`seen` is not of the directory log")
	}
	last := a.named
	a.named = &recorded
	for i := before; i < a.position; i++ {
		if time := a.dirTimes[i]; time == none {
			continue // said so in step 5
		} else if time > recorded+mergeMs {
			return fmt.Errorf("document %d that it names is later than it", i)
		} else if last != nil && time+mergeMs < *last {
			return fmt.Errorf("document %d that it names is earlier than the DIRECTORY before", i)
		}
	}
	return nil
}

// signed is steps 10 to 12, and 17 of a manifest.
func (a *auditor) signed(suite uint64, party string, keyID hash, role string, at, recorded uint64, where, kind string,
	object []byte, p proof) error {
	k, err := a.soFar.speaker(party, keyID, role)
	if err != nil {
		return err
	}
	if _, withdrawn := a.soFar.withdrawnSince(party, keyID); withdrawn {
		return errors.New("its key is revoked, or confirmed as compromised")
	}
	if !a.soFar.suiteAllowed(suite) {
		return errors.New("its suite is not allowed")
	}
	if at < k.from || at >= k.end {
		return errors.New("it states a time outside its key's life")
	}
	if at > recorded+clockSkewMs {
		return errors.New("it states a time later than the one at which it was recorded")
	}
	if role == "coordinator" && (at > recorded+2*mergeMs || at+2*mergeMs < recorded) {
		return errors.New("a coordinator states a time too far from the one at which it was recorded")
	}
	if k.bounded && recorded >= k.end {
		a.r.skip(where, "recorded after its key's life: whether the key still lived is not known")
	}
	return verify(kind, k.key, object, p)
}

// oneHeader is steps 16 to 18.
func (a *auditor) oneHeader(i, recorded uint64, s *statement, record []byte) {
	where := leafName(i)
	if record == nil {
		if a.member == "" && i >= a.from {
			a.r.fail(where, "its manifest has to be there and is not")
		} else {
			a.r.skip(where, "its manifest is not in the bundle")
		}
		return
	}
	var manifest []byte
	var p proof
	err := parsing("the signed manifest", func() {
		c := decode(record).structure(2)
		manifest, p = c.blob(0, maxManifest), c.proof()
	})
	var n *notice
	if err == nil {
		n, err = parseNotice(manifest)
	}
	if err == nil && n.envelope != s.envelope {
		err = errors.New("the manifest is not that of the envelope")
	}
	if err == nil {
		err = a.signed(n.suite, n.sender, n.keyID, "node", n.created, recorded, where, "notice", n.raw, p)
	}
	if err == nil {
		err = a.shownDirectory(i, n.directory)
	}
	if err != nil {
		a.r.fail(where, "manifest: %v", err)
		return
	}
	for _, x := range n.recipients {
		if !a.all.offered[x.state][x.prekey] {
			a.r.fail(where, "manifest: no prekey list of %s offers the prekey", x.state)
		}
	}
	a.notices[n.envelope] = n
	a.r.count("manifests")
}

// milestone is step 19.
func (a *auditor) milestone(size uint64) {
	name := fmt.Sprintf("ack/milestones/%d", size)
	if data := a.read(name, a.r); data != nil {
		a.ackCheckpoint(name, data, size, false)
	}
}

// finalCheckpoint is step 20.
func (a *auditor) finalCheckpoint() {
	if data := a.read("ack/checkpoint", a.r); data != nil {
		a.ackCheckpoint("ack/checkpoint", data, a.ackSize, true)
	}
}

func (a *auditor) ackCheckpoint(name string, data []byte, size uint64, needed bool) {
	c, err := parseCheckpoint(data)
	if err == nil && c.size != size {
		err = errors.New("its size is not the expected one")
	}
	if err == nil && c.root != a.ackTree.root(size) {
		err = errors.New("its root is not the one over the leaves")
	}
	var ms uint64
	if err == nil {
		if ms, err = a.judgeCheckpoint(c, "ack", a.soFar); err != nil {
			first := err
			if ms, err = a.judgeCheckpoint(c, "ack", a.all); err != nil && errors.Is(first, errQuorum) && !needed {
				err = first
			}
		}
	}
	switch {
	case err == nil:
		a.clock = append(a.clock, tick{size: size, ms: ms})
		a.r.count("checkpoints")
	case errors.Is(err, errQuorum) && !needed:
		a.r.skip(name, "%v", err)
	default:
		a.r.fail(name, "%v", err)
	}
}

// checkSeries is step 13.
func (a *auditor) checkSeries() {
	series := map[string]map[uint64]entry{}
	at := map[hash]uint64{}
	kept := a.entries[:0]
	for _, e := range a.entries {
		if first, ok := at[e.id]; ok {
			a.r.fail(leafName(e.leaf), "a replay: the statement of leaf %d stands here again", first)
			continue
		}
		at[e.id] = e.leaf
		kept = append(kept, e)
		if e.leaf < a.from {
			continue
		}
		key := e.party + " " + fmt.Sprintf("%x", e.keyID)
		if series[key] == nil {
			series[key] = map[uint64]entry{}
		}
		if other, ok := series[key][e.sequence]; ok {
			a.r.fail(leafName(e.leaf), "a fork: the same key said two things under number %d, also at leaf %d",
				e.sequence, other.leaf)
			continue
		}
		series[key][e.sequence] = e
	}
	a.entries = kept
	for _, key := range sorted(series) {
		party, _, _ := strings.Cut(key, " ")
		last := uint64(0)
		var before *statement
		for k, number := range sorted(series[key]) {
			e := series[key][number]
			where := leafName(e.leaf)
			gap := number != last+1 && (k > 0 || a.from == 0)
			if gap && (a.member != "" || a.from > 0 || a.ownFail > 0) {
				a.r.skip(where, "what its key said between numbers %d and %d is not there", last, number)
			} else if gap {
				a.r.fail(where, "what the key of %s said between numbers %d and %d is missing", party, last, number)
			} else if before != nil && e.previous != before.id {
				a.r.fail(where, "it does not name the statement before it of its key")
			}
			last, before = number, e.statement
		}
		a.r.count("series of keys")
	}
}
