// world_test.go: a small community with keys of its own, whose coordinator, witnesses and states can lie. Each scenario
// breaks one rule with genuine signatures, and names the place where the auditor has to find it.

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// encode writes the profile of encoding.md.
func encode(v any) []byte {
	head := func(n int, fix, fixMost int, codes [3]byte) []byte {
		switch {
		case n <= fixMost:
			return []byte{byte(fix | n)}
		case n < 256 && codes[0] != 0:
			return []byte{codes[0], byte(n)}
		case n < 1<<16:
			return binary.BigEndian.AppendUint16([]byte{codes[1]}, uint16(n))
		}
		return binary.BigEndian.AppendUint32([]byte{codes[2]}, uint32(n))
	}
	switch v := v.(type) {
	case nil:
		return []byte{0xc0}
	case bool:
		if v {
			return []byte{0xc3}
		}
		return []byte{0xc2}
	case int:
		return encode(uint64(v))
	case uint64:
		switch {
		case v < 128:
			return []byte{byte(v)}
		case v < 1<<8:
			return []byte{0xcc, byte(v)}
		case v < 1<<16:
			return binary.BigEndian.AppendUint16([]byte{0xcd}, uint16(v))
		case v < 1<<32:
			return binary.BigEndian.AppendUint32([]byte{0xce}, uint32(v))
		}
		return binary.BigEndian.AppendUint64([]byte{0xcf}, v)
	case hash:
		return encode(v[:])
	case []byte:
		return append(head(len(v), 0, -1, [3]byte{0xc4, 0xc5, 0xc6}), v...)
	case string:
		return append(head(len(v), 0xa0, 31, [3]byte{0xd9, 0xda, 0xdb}), v...)
	case []any:
		out := head(len(v), 0x90, 15, [3]byte{0, 0xdc, 0xdd})
		for _, x := range v {
			out = append(out, encode(x)...)
		}
		return out
	}
	panic(v)
}

type list = []any

// signer is a composite key, or the two raw keys of a log or witness.
type signer struct {
	lattice  *mldsa.PrivateKey
	ed       ed25519.PrivateKey
	public   []byte
	id       hash
	sequence uint64
	previous hash
}

func newSigner(params mldsa.Parameters, name string) *signer {
	a, b := tagged("test", []byte(name)), tagged("test2", []byte(name))
	key, err := mldsa.NewPrivateKey(params, a[:])
	if err != nil {
		panic(err)
	}
	s := &signer{lattice: key, ed: ed25519.NewKeyFromSeed(b[:])}
	s.public = append(key.PublicKey().Bytes(), s.ed[32:]...)
	s.id = signingKeyID(s.public)
	return s
}

func composite(name string) *signer { return newSigner(mldsa.MLDSA65(), name) }

func (s *signer) raw(message []byte, context string) []byte {
	out, err := s.lattice.Sign(nil, message, &mldsa.Options{Context: context})
	if err != nil {
		panic(err)
	}
	return out
}

func (s *signer) sign(kind string, root []byte) []byte {
	context := "almenara/1/" + kind
	digest := sha512.Sum512(pae(kind, root))
	m := append([]byte("CompositeAlgorithmSignatures2025"+algorithm), byte(len(context)))
	m = append(append(m, context...), digest[:]...)
	return append(s.raw(m, algorithm), ed25519.Sign(s.ed, m)...)
}

// prove signs an object, alone or as the last of a batch of three.
func (s *signer) prove(kind string, object []byte, batch bool) list {
	inner := sha256.Sum256(pae(kind, object))
	leaf := leafHash(inner[:])
	if !batch {
		return list{s.sign(kind, leaf[:]), 0, 1, list{}}
	}
	pairHash := innerHash(hash{1}, hash{2})
	root := innerHash(pairHash, leaf)
	return list{s.sign(kind, root[:]), 2, 3, list{pairHash}}
}

type world struct {
	now         uint64
	community   hash
	keys        map[string]*signer
	dir         [][]byte // leaves
	dirTree     tree
	documents   files
	versions    map[string]uint64
	hashes      map[string]hash
	ack         [][]byte
	ackTree     tree
	statements  []record
	headers     []record
	milestones  files
	head        directoryHead
	envelope    hash
	states      []string
	suspended   map[string]bool
	revoked     map[string]list
	compromised list
	until       uint64
	nodeName    map[string]string
	cosigners   []string
	recordLater uint64
	pops        list
}

func (w *world) key(name string) *signer {
	if w.keys[name] == nil {
		if strings.HasSuffix(name, "witness") || strings.HasSuffix(name, "log") {
			w.keys[name] = newSigner(mldsa.MLDSA44(), name)
		} else {
			w.keys[name] = composite(name)
		}
	}
	return w.keys[name]
}

func (w *world) pop(code, role string, s *signer) list {
	m := append(append(short(code), short(role)...), s.public...)
	return s.prove("pop", append(m, w.community[:]...), false)
}

func (w *world) note(code, role, name string) list {
	s := w.key(code + " " + role)
	ed, lattice := []byte(s.ed[32:]), s.lattice.PublicKey().Bytes()
	m := append([]byte("almenara/1/note-pop\x00"), short(code)...)
	m = append(append(m, short(role)...), short(name)...)
	m = append(append(append(m, ed...), lattice...), w.community[:]...)
	return list{name, ed, lattice, append(ed25519.Sign(s.ed, m), s.raw(m, "almenara/1/pop")...)}
}

// document logs a signed document; rest follows the times.
func (w *world) document(kind, state string, by []*signer, rest ...any) {
	chain := kind + state
	w.versions[chain]++
	version := w.versions[chain]
	var community, previous any = w.community, nil
	if version > 1 {
		previous = w.hashes[chain]
	} else if kind == "root" {
		community = nil
	}
	body := list{kind, 1, community}
	if state != "" {
		body = append(body, state)
	}
	body = append(body, version, previous, w.now, w.now+1e10)
	raw := encode(append(body, rest...))
	var signatures list
	for _, s := range by {
		inner := sha256.Sum256(pae(kind, raw))
		leaf := leafHash(inner[:])
		signatures = append(signatures, list{s.id, s.sign(kind, leaf[:])})
	}
	signed := encode(list{"alm1-document", raw, signatures})
	w.hashes[chain] = tagged("doc", raw)
	if chain == "root" && version == 1 {
		w.community = w.hashes[chain]
	}
	if kind == "directory" {
		w.head = directoryHead{version, w.hashes[chain]}
	}
	digest := tagged("leaf", signed)
	leaf := binary.BigEndian.AppendUint64([]byte{1, documentTypes[kind]}, w.now)
	leaf = append(binary.BigEndian.AppendUint64(append(leaf, short(state)...), version), digest[:]...)
	w.documents["dir/documents/"+tilePath(uint64(len(w.dir)))] = signed
	w.dir = append(w.dir, leaf)
	w.dirTree.add(leafHash(leaf))
}

func (w *world) root() {
	both := []*signer{w.key("r1"), w.key("r2")}
	w.document("root", "", both, "test", list{2, list{both[0].public, both[1].public}},
		list{1, list{w.key("d").public}}, list{1})
}

func (w *world) directory() {
	var states list
	for _, code := range w.states {
		status := "active"
		if w.suspended[code] {
			status = "suspended"
		}
		states = append(states, list{code, code, status, w.key(code + " identity").public, w.now})
	}
	hub := w.key("HUB coordinator")
	w.document("directory", "", []*signer{w.key("d")}, w.versions["root"], states, list{list{"HUB", "hub", "wss://hub/",
		hub.public, w.pop("HUB", "coordinator", hub), list{[]byte("certificate")}, w.note("HUB", "log", "hub/log")}}, w.compromised)
}

// directoryAt logs a directory whose leaf has another time than now, and a DIRECTORY.
func (w *world) directoryAt(later int) {
	now := w.now
	w.now += uint64(later)
	w.directory()
	w.now = now
	w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
}

func (w *world) node(code string) *signer    { return w.key(code + " node" + w.nodeName[code]) }
func (w *world) officer(code string) *signer { return w.key(code + " officer") }

func (w *world) manifest(code string) {
	var keys list
	for _, k := range []struct {
		role string
		s    *signer
	}{{"node", w.node(code)}, {"officer", w.officer(code)}} {
		keys = append(keys, list{k.s.public, k.role, "owner", w.now, w.until, w.pop(code, k.role, k.s)})
	}
	revoked := w.revoked[code]
	if revoked == nil {
		revoked = list{}
	}
	w.document("manifest", code, []*signer{w.key(code + " identity")}, keys, list{[]byte("tls " + code)}, list{1},
		revoked, w.note(code, "witness", "witness/"+code))
}

func prekey(code string) []byte { return bytes.Repeat([]byte(code), 406)[:1216] }

func (w *world) prekeys(code string) {
	w.document("prekeys", code, []*signer{w.node(code)}, list{list{prekey(code), w.now, w.now + 1e8, w.now + 1e9}}, true)
}

func (w *world) checkpoint(log string, t *tree, by ...string) []byte {
	c := &checkpoint{origin: "hub/log/" + log, size: t.size(), root: t.root(t.size())}
	c.text = fmt.Sprintf("%s\n%d\n%s\n", c.origin, c.size, base64.StdEncoding.EncodeToString(c.root[:]))
	out := c.text + "\n"
	line := func(name string, kind byte, s *signer) {
		seconds := w.now / 1000
		raw := []byte{}
		key := []byte(s.ed[32:])
		switch kind {
		case typeEd25519:
			raw = ed25519.Sign(s.ed, []byte(c.text))
		case typeCosigned:
			text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, c.text)
			raw = append(binary.BigEndian.AppendUint64(raw, seconds), ed25519.Sign(s.ed, []byte(text))...)
		case typeMLDSA:
			key = s.lattice.PublicKey().Bytes()
			raw = append(binary.BigEndian.AppendUint64(raw, seconds), s.raw(c.cosignedStructure(name, seconds), "")...)
		}
		number := keyNumber(name, kind, key)
		out += signatureMark + name + " " + base64.StdEncoding.EncodeToString(append(number[:], raw...)) + "\n"
	}
	line(c.origin, typeEd25519, w.key("HUB log"))
	line(c.origin, typeMLDSA, w.key("HUB log"))
	for _, code := range by {
		code, half := strings.CutSuffix(code, "-")
		line("witness/"+code, typeCosigned, w.key(code+" witness"))
		if !half {
			line("witness/"+code, typeMLDSA, w.key(code+" witness"))
		}
	}
	return []byte(out)
}

func (w *world) milestone(by ...string) {
	w.now += 1000
	w.milestones[fmt.Sprintf("ack/milestones/%d", len(w.ack))] = w.checkpoint("ack", &w.ackTree, by...)
}

// say logs a statement; change may spoil its members before it is signed.
func (w *world) say(kind uint64, party string, by *signer, change func(list)) {
	w.now += 1000
	by.sequence++
	var about, code, pod any
	if kinds[kind].about {
		about = "XCC"
	}
	if kinds[kind].code {
		code = "other"
	}
	if kinds[kind].proof {
		pod = hash{7}
	}
	envelope, seen := w.envelope, any(nil)
	if kind == directoryKind {
		envelope = w.dirTree.root(w.dirTree.size())
		seen = list{"hub/log/dir", w.dirTree.size(), envelope}
	}
	nonce := sha256.Sum256(fmt.Append(nil, len(w.ack)))
	body := list{1, 1, kind, party, by.id, nonce[:], envelope, w.now, by.sequence, by.previous,
		list{w.head.version, w.head.hash}, seen, about, code, pod, nil}
	if change != nil {
		change(body)
	}
	raw := encode(body)
	by.previous = tagged("aid", raw)
	w.record(kind, encode(list{"alm1-statement", raw, by.prove("statement", raw, len(w.ack)%2 == 1)}))
}

func (w *world) record(kind uint64, signed []byte) {
	leaf := statementLeaf(kind, w.now+w.recordLater, tagged("leaf", signed))
	w.statements = append(w.statements, record{uint64(len(w.ack)), signed})
	w.ack = append(w.ack, leaf)
	w.ackTree.add(leafHash(leaf))
}

// relay logs a new notice from XAA to XBB and XCC.
func (w *world) relay(change func(list)) {
	tag := list{"xaa-national", 1, "grave", 4}
	header := list{1, 1, 1, true, "XAA", w.node("XAA").id, make([]byte, 16), w.now, w.now + 86400000,
		list{w.head.version, w.head.hash}, list{list{"XBB", prekeyID(prekey("XBB"))}, list{"XCC", prekeyID(prekey("XCC"))}},
		tag, nil}
	if change != nil {
		change(header)
	}
	manifest := encode(list{encode(header), list{hash{1}, hash{2}}, hash{3}, 1096, list{}})
	w.envelope = tagged("eid", manifest)
	index := uint64(len(w.ack))
	w.say(relayed, "HUB", w.key("HUB coordinator"), nil)
	w.headers = append(w.headers, record{index, encode(list{manifest, w.node("XAA").prove("notice", manifest, true)})})
}

func newWorld() *world {
	w := &world{now: 1772334000000, keys: map[string]*signer{}, documents: files{}, versions: map[string]uint64{},
		hashes: map[string]hash{}, milestones: files{}, states: []string{"XAA", "XBB", "XCC", "XDD"},
		suspended: map[string]bool{}, revoked: map[string]list{}, compromised: list{}, nodeName: map[string]string{},
		cosigners: []string{"XAA", "XBB", "XDD"}}
	w.until = w.now + 1e9
	w.root()
	w.directory()
	for _, code := range w.states {
		w.manifest(code)
		w.prekeys(code)
	}
	w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	w.relay(nil)
	w.say(received, "XBB", w.node("XBB"), nil)
	w.milestone(w.cosigners...)
	w.say(accepted, "XBB", w.officer("XBB"), nil)
	return w
}

func (w *world) export(bodies string) files {
	w.now += 1000
	f := files{"README.txt": []byte("for people\n"), "ack/statements/000": pack(w.statements)}
	if len(w.headers) > 0 {
		f["ack/headers/000"] = pack(w.headers)
	}
	for _, more := range []files{w.documents, w.milestones} {
		for name, data := range more {
			f[name] = data
		}
	}
	f["ack/checkpoint"] = w.checkpoint("ack", &w.ackTree, w.cosigners...)
	f["dir/checkpoint"] = w.checkpoint("dir", &w.dirTree, w.cosigners...)
	for log, leaves := range map[string][][]byte{"ack": w.ack, "dir": w.dir} {
		var entries []byte
		for _, leaf := range leaves {
			entries = append(binary.BigEndian.AppendUint16(entries, uint16(len(leaf))), leaf...)
		}
		f[entryFiles(log, uint64(len(leaves)))[0]] = entries
		f[log+"/policy.txt"] = nil
	}
	f[listName] = fmt.Appendf(nil, "almenara-bundle v1\ncommunity %x\ncoordinator HUB\nack %d\ndir %d\n%s\n"+
		"made 2026-03-04T07:02:07.000Z\nprogram tests\n\n", w.community, len(w.ack), len(w.dir), bodies)
	f.list()
	return f
}

type scenario struct {
	name  string
	where string // the first failure's place; empty: it holds
	do    func(w *world)
}

func set(place int, v any) func(list) { return func(l list) { l[place] = v } }

var scenarios = []scenario{
	{"good", "", func(w *world) {}},
	{"node key says ACCEPTED", "leaf 4", func(w *world) { w.say(accepted, "XCC", w.node("XCC"), nil) }},
	{"officer key says RECEIVED", "leaf 4", func(w *world) { w.say(received, "XCC", w.officer("XCC"), nil) }},
	{"stranger", "leaf 4", func(w *world) { w.say(received, "XDD", w.node("XDD"), nil) }},
	{"another's key", "leaf 4", func(w *world) { w.say(received, "XCC", w.node("XDD"), nil) }},
	{"statement before its key", "leaf 4", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(7, w.now-1e6))
	}},
	{"statement from the future", "leaf 4", func(w *world) { w.say(received, "XCC", w.node("XCC"), set(7, w.now+700000)) }},
	{"unknown suite", "leaf 4", func(w *world) { w.say(received, "XCC", w.node("XCC"), set(1, 2)) }},
	{"another ledger seen", "leaf 4", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/ack", 3, hash{9}}))
	}},
	{"a true ledger seen", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/ack", 3, w.ackTree.root(3)}))
	}},
	{"the future ledger seen", "leaf 4", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/ack", 5, hash{9}}))
	}},
	{"another directory", "leaf 4", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(10, list{1, hash{9}}))
	}},
	{"gap", "leaf 4", func(w *world) {
		w.node("XCC").sequence, w.node("XCC").previous = 1, hash{4}
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"fork", "leaf 5", func(w *world) {
		w.say(opened, "XCC", w.officer("XCC"), nil)
		w.officer("XCC").sequence, w.officer("XCC").previous = 0, hash{}
		w.say(accepted, "XCC", w.officer("XCC"), nil)
	}},
	{"replay", "leaf 4", func(w *world) { w.record(received, w.statements[2].data) }},
	{"wrong previous", "leaf 4", func(w *world) {
		w.officer("XBB").previous = hash{4}
		w.say(completed, "XBB", w.officer("XBB"), nil)
	}},
	{"relayed twice", "leaf 4", func(w *world) {
		w.say(relayed, "HUB", w.key("HUB coordinator"), nil)
		w.headers = append(w.headers, record{4, w.headers[0].data})
	}},
	{"never relayed", "leaf 4", func(w *world) { w.say(received, "XCC", w.node("XCC"), set(6, hash{5})) }},
	{"rejected after received", "leaf 4", func(w *world) { w.say(rejected, "XBB", w.node("XBB"), nil) }},
	{"declined after completed", "leaf 5", func(w *world) {
		w.say(completed, "XBB", w.officer("XBB"), nil)
		w.say(declined, "XBB", w.officer("XBB"), nil)
	}},
	{"received after undelivered", "", func(w *world) {
		w.say(undelivered, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"withdrawn by the sender", "", func(w *world) { w.say(withdrawn, "XAA", w.node("XAA"), nil) }},
	{"withdrawn by a recipient", "leaf 4", func(w *world) { w.say(withdrawn, "XBB", w.node("XBB"), nil) }},
	{"prekey of nobody", "leaf 4", func(w *world) {
		w.relay(set(10, list{list{"XBB", hash{1}}, list{"XCC", prekeyID(prekey("XCC"))}}))
	}},
	{"notice of another's key", "leaf 4", func(w *world) { w.relay(set(5, w.node("XBB").id)) }},
	{"expired without an outcome", "notice", func(w *world) { w.now += 86400000 + 2*hourMs }},
	{"leaf later than its checkpoint", "leaf 4", func(w *world) {
		w.recordLater = 62001
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"leaf earlier than a checkpoint without it", "leaf 4", func(w *world) {
		for range 100 {
			w.now += 2000
		}
		w.milestone(w.cosigners...)
		w.now -= 180000
		w.say(received, "XCC", w.node("XCC"), nil)
		w.now += 180000
	}},
	{"a milestone without a quorum", "", func(w *world) { w.milestone("XAA", "XDD") }},
	{"a milestone without the log", "ack/milestones/4", func(w *world) {
		w.milestone(w.cosigners...)
		note := string(w.milestones["ack/milestones/4"])
		first := strings.Index(note, signatureMark)
		w.milestones["ack/milestones/4"] = []byte(note[:first] + note[first+strings.Index(note[first:], "\n")+1:])
	}},
	{"a milestone of another tree", "ack/milestones/4", func(w *world) {
		other := tree{}
		for range 4 {
			other.add(hash{})
		}
		w.milestones["ack/milestones/4"] = w.checkpoint("ack", &other, w.cosigners...)
	}},
	{"no quorum", "dir/checkpoint", func(w *world) { w.cosigners = []string{"XAA", "XBB"} }},
	{"half a witness", "dir/checkpoint", func(w *world) { w.cosigners = []string{"XAA", "XBB", "XCC-"} }},
	{"revoked key", "leaf 5", func(w *world) {
		w.revoked["XCC"] = list{list{w.node("XCC").id, "lost", w.now + 1e6}}
		w.manifest("XCC") // the key is still listed, and the revocation lies in the future
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"revoked later", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), nil)
		w.revoked["XCC"] = list{list{w.node("XCC").id, "lost", w.now}}
		w.nodeName["XCC"] = "2"
		w.manifest("XCC")
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"confirmed as compromised", "leaf 5", func(w *world) {
		w.compromised = list{list{"XCC", w.node("XCC").id, w.now + 1e6}}
		w.directory()
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"confirmed as compromised later", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), nil)
		w.compromised = list{list{"XCC", w.node("XCC").id, w.now}}
		w.directory()
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"a compromise taken back", "dir/documents/011", func(w *world) {
		w.compromised = list{list{"XCC", w.node("XCC").id, w.now}}
		w.directory()
		w.compromised = list{}
		w.directory()
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"suspended", "leaf 5", func(w *world) {
		w.suspended["XCC"] = true
		w.directory()
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"new identity, old manifest", "leaf 5", func(w *world) {
		w.keys["XCC identity"] = composite("XCC identity 2")
		w.directory()
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"key not yet named by a DIRECTORY", "leaf 4", func(w *world) {
		w.nodeName["XCC"] = "2"
		w.manifest("XCC")
		w.say(received, "XCC", w.node("XCC"), nil)
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"DIRECTORY goes back", "leaf 4", func(w *world) {
		root := w.dirTree.root(5)
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), func(l list) {
			l[6], l[11] = root, list{"hub/log/dir", 5, root}
		})
	}},
	{"another coordinator's word", "leaf 4", func(w *world) {
		w.say(undelivered, "XBB", w.key("HUB coordinator"), nil)
	}},
	{"a revocation taken back", "leaf 5", func(w *world) {
		w.revoked["XCC"] = list{list{w.node("XCC").id, "lost", w.now}}
		w.manifest("XCC")
		w.revoked["XCC"] = nil
		w.manifest("XCC")
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.say(received, "XCC", w.node("XCC"), nil)
	}},
	{"document later than its DIRECTORY", "leaf 4", func(w *world) { w.directoryAt(60001 + 1000) }},
	{"document a little later than its DIRECTORY", "", func(w *world) { w.directoryAt(60000 + 1000) }},
	{"document earlier than the DIRECTORY before, which held it back", "leaf 4", func(w *world) {
		w.now += 70000
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.directoryAt(-60001)
	}},
	{"document a little earlier than the DIRECTORY before", "", func(w *world) {
		w.now += 70000
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
		w.directoryAt(-60000)
	}},
	{"document held back", "leaf 4", func(w *world) {
		w.directory()
		w.now += 60000
		w.say(received, "XCC", w.node("XCC"), nil)
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"document not held back", "", func(w *world) {
		w.directory()
		w.now += 59000
		w.say(received, "XCC", w.node("XCC"), nil)
		w.now += 60000
		w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"coordinator's statement older than its leaf", "leaf 4", func(w *world) {
		w.say(undelivered, "HUB", w.key("HUB coordinator"), func(l list) { l[7] = w.now - 120001 })
	}},
	{"coordinator's statement younger than its leaf", "leaf 4", func(w *world) {
		w.say(undelivered, "HUB", w.key("HUB coordinator"), func(l list) { l[7] = w.now + 120001 })
	}},
	{"coordinator's statement almost too old", "", func(w *world) {
		w.say(undelivered, "HUB", w.key("HUB coordinator"), func(l list) { l[7] = w.now - 120000 })
	}},
	{"node's statement that waited", "", func(w *world) {
		w.now += 3 * hourMs
		w.say(received, "XCC", w.node("XCC"), func(l list) { l[7] = w.now - 2*hourMs })
	}},
	{"another log of documents seen", "leaf 4", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/dir", 3, hash{9}}))
	}},
	{"a true log of documents seen", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/dir", 3, w.dirTree.root(3)}))
	}},
	{"more documents seen than there are", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/dir", 99, hash{9}}))
	}},
	{"yet another log seen", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(11, list{"elsewhere/ack", 1, hash{9}}))
	}},
	{"a directory that is not there", "", func(w *world) {
		w.say(received, "XCC", w.node("XCC"), set(10, list{2, hash{9}}))
	}},
	{"notice by another directory", "leaf 4", func(w *world) { w.relay(set(9, list{1, hash{9}})) }},
	{"completed after declined", "leaf 5", func(w *world) {
		w.say(declined, "XBB", w.officer("XBB"), nil)
		w.say(completed, "XBB", w.officer("XBB"), nil)
	}},
	{"completed after accepted after declined", "", func(w *world) {
		w.say(declined, "XBB", w.officer("XBB"), nil)
		w.say(accepted, "XBB", w.officer("XBB"), nil)
		w.say(completed, "XBB", w.officer("XBB"), nil)
	}},
	{"undelivered after opened", "leaf 5", func(w *world) {
		w.say(opened, "XCC", w.officer("XCC"), nil)
		w.say(undelivered, "HUB", w.key("HUB coordinator"), nil)
	}},
	{"a witness that cannot sign counts", "dir/checkpoint", func(w *world) {
		w.keys["XCC identity"] = composite("XCC identity 2")
		w.keys["XDD identity"] = composite("XDD identity 2")
		w.directory()
		w.cosigners = []string{"XAA", "XBB"} // all who can, of four who count
	}},
	{"root followed by its successor", "", func(w *world) { w.root() }},
	{"directory signed by a root key", "dir/documents/010", func(w *world) {
		w.keys["d"] = w.key("r1")
		w.directory()
	}},
	{"witness with the log's keys", "dir/documents/010", func(w *world) {
		w.keys["XCC witness"] = w.key("HUB log")
		w.manifest("XCC")
	}},
	{"officer becomes a node", "dir/documents/010", func(w *world) {
		w.keys["XCC node2"], w.keys["XCC officer"] = w.officer("XCC"), composite("another")
		w.nodeName["XCC"] = "2"
		w.manifest("XCC")
	}},
	{"prekeys of another", "dir/documents/010", func(w *world) {
		w.document("prekeys", "XCC", []*signer{w.node("XCC")}, list{list{prekey("XBB"), w.now, w.now + 1, w.now + 1}}, true)
	}},
	{"prekeys by another's key", "dir/documents/010", func(w *world) {
		w.document("prekeys", "XCC", []*signer{w.node("XDD")}, list{list{prekey("XEE"), w.now, w.now + 1, w.now + 1}}, true)
	}},
}

// TestParts looks at bundles that are to hold less.
func TestParts(t *testing.T) {
	w := newWorld()
	for bodies, want := range map[string]string{"bodies all\nfrom 4": "", "bodies all\nfrom 2": "leaf 2",
		"bodies member XDD\nfrom 0": ""} {
		statements, headers := w.statements, w.headers
		w.statements, w.headers = w.statements[:1], nil // DIRECTORY alone
		f := w.export(bodies)
		w.statements, w.headers = statements, headers
		r := f.audit(t, w.community)
		var found []string
		for _, x := range r.failures {
			if strings.HasPrefix(x, "leaf") {
				found = append(found, x)
			}
		}
		if want == "" && len(found) > 0 || want != "" && (len(found) == 0 || !strings.HasPrefix(found[0], want)) {
			t.Errorf("%s: expected %q, found %q", bodies, want, found)
		}
		if len(r.unchecked) == 0 {
			t.Errorf("%s: everything could be checked", bodies)
		}
	}
}

func TestScenarios(t *testing.T) {
	for _, s := range scenarios {
		w := newWorld()
		s.do(w)
		f := w.export("bodies all\nfrom 0")
		var found []string
		for _, x := range f.audit(t, w.community).failures {
			if !strings.HasSuffix(x, "it is not the policy that follows from the documents") {
				found = append(found, x)
			}
		}
		if s.where == "" && len(found) > 0 || s.where != "" && (len(found) == 0 || !strings.HasPrefix(found[0], s.where)) {
			t.Errorf("%s: expected %q, found %q", s.name, s.where, found)
		} else if testing.Verbose() {
			t.Logf("%s: %q", s.name, found)
		}
	}
}

// judged gives the failures of a bundle at places of this kind.
func (w *world) judged(t *testing.T, bodies, prefix string) (failed, unchecked []string) {
	r := w.export(bodies).audit(t, w.community)
	for _, x := range r.failures {
		if strings.HasPrefix(x, prefix) {
			failed = append(failed, x)
		}
	}
	return failed, r.unchecked
}

// TestWhatCounts looks at what follows behind a failure.
func TestWhatCounts(t *testing.T) {
	w := newWorld() // its documents count, though the statement itself is of an unknown suite
	w.suspended["XCC"] = true
	w.directory()
	w.say(directoryKind, "HUB", w.key("HUB coordinator"), set(1, 2))
	w.say(received, "XCC", w.node("XCC"), nil)
	if failed, _ := w.judged(t, "bodies all\nfrom 0", "leaf"); len(failed) != 2 || !strings.HasPrefix(failed[1], "leaf 5") {
		t.Error("DIRECTORY that fails:", failed)
	}
	w = newWorld() // the DIRECTORY that names a document which is too old fails too
	w.now += 70000
	w.say(directoryKind, "HUB", w.key("HUB coordinator"), nil)
	w.directoryAt(-60001)
	if failed, _ := w.judged(t, "bodies all\nfrom 0", "leaf"); len(failed) != 2 || !strings.HasPrefix(failed[1], "leaf 5") {
		t.Error("document earlier than the DIRECTORY before:", failed)
	}
	w = newWorld() // who was shown another ledger has spoken nevertheless
	w.say(received, "XCC", w.node("XCC"), set(11, list{"hub/log/ack", 3, hash{9}}))
	w.say(undelivered, "HUB", w.key("HUB coordinator"), nil)
	if failed, _ := w.judged(t, "bodies all\nfrom 0", "leaf"); len(failed) != 2 || !strings.Contains(failed[1], "contradicts") {
		t.Error("another ledger seen:", failed)
	}
	w = newWorld() // a header with a prekey of nobody counts
	w.relay(set(10, list{list{"XBB", hash{1}}, list{"XCC", prekeyID(prekey("XCC"))}}))
	w.say(received, "XDD", w.node("XDD"), nil)
	if failed, _ := w.judged(t, "bodies all\nfrom 0", "leaf"); len(failed) != 2 || !strings.Contains(failed[1], "no recipient") {
		t.Error("prekey of nobody:", failed)
	}
	for from, want := range []int{1, 0} { // a gap
		w = newWorld()
		w.say(opened, "XCC", w.officer("XCC"), nil)
		w.officer("XCC").sequence, w.officer("XCC").previous = 2, hash{4}
		w.say(accepted, "XCC", w.officer("XCC"), nil)
		failed, unchecked := w.judged(t, fmt.Sprint("bodies all\nfrom ", from), "leaf")
		if len(failed) != want || want == 0 && !strings.Contains(strings.Join(unchecked, "\n"), "between numbers 1 and 3") {
			t.Error("gap from", from, failed, unchecked)
		}
	}
}

func TestQuorum(t *testing.T) {
	for n, want := range []int{1, 1, 2, 2, 3, 4, 4, 5} {
		if quorumOf(n) != want {
			t.Errorf("quorum of %d is %d", n, quorumOf(n))
		}
	}
	if _, err := (judgement{}).witnessedMs(0); err == nil {
		t.Error("witnessed by nobody")
	}
	log := noteKeys{name: "hub/log", ed: make([]byte, 32), lattice: make([]byte, 1312)}
	if !strings.HasSuffix(string(policy("hub/log/ack", log, nil, 0)), "\nquorum none\n") {
		t.Error("the policy of nobody")
	}
}
