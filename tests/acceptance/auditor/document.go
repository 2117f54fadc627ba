// document.go: the five kinds of trust document, as bytes give them (documents.md). Whether one is believed is
// trust.go.

package main

import (
	"fmt"
	"strings"
)

const (
	maxSigned  = 524288
	knownSuite = 1
	noteProofs = 64 + 2420
	maxWitness = 120
)

type docSignature struct {
	keyID     hash
	signature []byte
}

type threshold struct {
	need int
	keys [][]byte
}

type member struct {
	code     string
	active   bool
	identity []byte
}

type coordinator struct {
	code         string
	key          []byte
	possession   proof
	certificates [][]byte
	log          noteKeys
}

type memberKey struct {
	key        []byte
	id         hash
	role       string
	from       uint64
	until      uint64
	possession proof
}

type revocation struct {
	keyID hash
	at    uint64
}

// compromise is a key that governance confirms was in foreign hands since a time.
type compromise struct {
	party string
	keyID hash
	since uint64
}

func (x compromise) place() string { return x.party + "\n" + string(x.keyID[:]) }

type document struct {
	kind       string
	body       []byte
	id         hash
	signatures []docSignature

	community         *hash
	version           uint64
	previous          *hash
	issued, expires   uint64
	suites            []uint64 // root, manifest
	state             string   // manifest, prekeys, publication
	topic, name       string   // publication
	rootKeys, dirKeys threshold
	rootVersion       uint64 // directory
	states            []member
	coordinators      []coordinator
	compromised       []compromise
	keys              []memberKey // manifest
	certificates      [][]byte
	revoked           []revocation
	witness           noteKeys
	prekeys           [][]byte
}

var documentTypes = map[string]byte{"root": 1, "directory": 2, "manifest": 3, "prekeys": 4, "publication": 5}

// chain names the chain of versions to which a document belongs.
func (d *document) chain() string { return d.kind + "\n" + d.state + "\n" + d.topic + "\n" + d.name }

func (d *document) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d", d.kind, d.state, d.version))
}

func parseDocument(signed []byte) (d *document, err error) {
	if len(signed) > maxSigned {
		return nil, fmt.Errorf("the document is too large")
	}
	err = parsing("the document", func() {
		c := decode(signed).structure(3)
		c.tag("alm1-document")
		d = &document{body: c.blob(1, maxSigned)}
		for _, v := range c.list(1, 32) {
			s := v.structure(2)
			d.signatures = append(d.signatures, docSignature{s.hash(), s.blob(signatureSize, signatureSize)})
		}
		d.id = tagged("doc", d.body)
		d.parseBody()
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *document) parseBody() {
	v := decode(d.body)
	if v.kind != 'a' || len(v.items) < 2 || v.items[0].kind != 't' {
		bad("no tagged structure")
	}
	d.kind = string(v.items[0].bytes)
	length := map[string]int{"root": 11, "directory": 11, "manifest": 13, "prekeys": 10, "publication": 10}[d.kind]
	if length == 0 {
		bad("unknown kind %q of document", d.kind)
	}
	c := v.structure(length)
	c.next()
	c.uint(1, 1)
	if d.community = c.hashOrNil(); d.community == nil && d.kind != "root" {
		bad("it names no community")
	}
	if d.kind == "manifest" || d.kind == "prekeys" || d.kind == "publication" {
		d.state = c.code()
	}
	if d.kind == "publication" {
		d.topic, d.name = c.slug(), c.slug()
	}
	d.version = c.uint(1, maxUint)
	d.previous = c.hashOrNil()
	if (d.previous == nil) != (d.version == 1) || d.kind == "root" && (d.community == nil) != (d.version == 1) {
		bad("nil stands in version 1 only, and always there")
	}
	d.issued = c.time()
	if d.kind != "publication" {
		if d.expires = c.time(); d.expires <= d.issued {
			bad("it expires before it was issued")
		}
	}
	switch d.kind {
	case "root":
		d.parseRoot(c)
	case "directory":
		d.parseDirectory(c)
	case "manifest":
		d.parseManifest(c)
	case "prekeys":
		d.parsePrekeys(c)
	case "publication":
		c.blob(0, 65536)
	}
}

func (d *document) parseSuites(c *cursor) {
	for _, v := range c.list(1, 16) {
		d.suites = append(d.suites, v.uint(0, 65535))
	}
}

func allDifferent(keys [][]byte) {
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[string(k)] {
			bad("a key stands twice")
		}
		seen[string(k)] = true
	}
}

func (d *document) parseRoot(c *cursor) {
	c.line()
	for _, t := range []*threshold{&d.rootKeys, &d.dirKeys} {
		s := c.sub(2)
		t.need = int(s.uint(1, 32))
		for _, v := range s.list(1, 32) {
			t.keys = append(t.keys, v.blob(keySize, keySize))
		}
		allDifferent(t.keys)
		if t.need > len(t.keys) {
			bad("a threshold is above the number of keys")
		}
	}
	d.parseSuites(c)
}

func parseCertificates(c *cursor) (out [][]byte) {
	for _, v := range c.list(1, 4) {
		out = append(out, v.blob(1, 2048))
	}
	return out
}

func parseNoteKeys(c *cursor) noteKeys {
	s := c.sub(4)
	k := noteKeys{name: s.text(1, maxWitness), ed: s.blob(32, 32), lattice: s.blob(1312, 1312)}
	for _, r := range k.name {
		if r <= 0x20 || r >= 0x7f || r == '+' {
			bad("the name of a log or witness is not printable ASCII without spaces and plus signs")
		}
	}
	k.possession = s.blob(noteProofs, noteProofs)
	return k
}

// checkAddresses takes the addresses of a coordinator, one space between two.
func checkAddresses(text string) {
	addresses := strings.Split(text, " ")
	if len(addresses) > 8 {
		bad("a coordinator has more than 8 addresses")
	}
	for _, address := range addresses {
		rest, found := strings.CutPrefix(address, "wss://")
		if !found || len(rest) < 1 || len(rest) > 194 {
			bad("a coordinator's address is not wss:// and 1 to 194 characters")
		}
		for _, char := range []byte(rest) {
			if char < '!' || char > '~' {
				bad("a coordinator's address has a character that it cannot have")
			}
		}
	}
}

func (d *document) parseDirectory(c *cursor) {
	d.rootVersion = c.uint(1, maxUint)
	var keys [][]byte
	codes, logs := map[string]bool{}, map[string]bool{}
	newCode := func(code, last string) {
		if codes[code] || code <= last {
			bad("codes are not sorted, or one stands twice")
		}
		codes[code] = true
	}
	last := ""
	for _, v := range c.list(0, 200) {
		s := v.structure(5)
		m := member{code: s.code()}
		newCode(m.code, last)
		last = m.code
		s.line()
		status := s.text(0, 16)
		if m.active = status == "active"; !m.active && status != "suspended" {
			bad("unknown status %q", status)
		}
		m.identity = s.blob(keySize, keySize)
		s.time()
		keys = append(keys, m.identity)
		d.states = append(d.states, m)
	}
	last = ""
	for _, v := range c.list(0, 16) {
		s := v.structure(7)
		m := coordinator{code: s.code()}
		newCode(m.code, last)
		last = m.code
		s.line()
		checkAddresses(s.text(1, 1000))
		m.key = s.blob(keySize, keySize)
		m.possession = s.proof()
		m.certificates = parseCertificates(s)
		m.log = parseNoteKeys(s)
		if logs[m.log.name] {
			bad("two logs have one name")
		}
		logs[m.log.name] = true
		keys = append(keys, m.key)
		d.coordinators = append(d.coordinators, m)
	}
	allDifferent(keys)
	place := ""
	for _, v := range c.list(0, 256) {
		s := v.structure(3)
		x := compromise{party: s.code(), keyID: s.hash(), since: s.time()}
		if x.place() <= place {
			bad("the compromised keys are not sorted, or one stands twice")
		}
		place = x.place()
		d.compromised = append(d.compromised, x)
	}
}

func (d *document) parseManifest(c *cursor) {
	var keys [][]byte
	for _, v := range c.list(1, 48) {
		s := v.structure(6)
		k := memberKey{key: s.blob(keySize, keySize)}
		if k.role = s.text(0, 16); k.role != "node" && k.role != "officer" {
			bad("unknown role %q", k.role)
		}
		s.line()
		k.from, k.until = s.time(), s.time()
		k.possession = s.proof()
		k.id = signingKeyID(k.key)
		keys = append(keys, k.key)
		d.keys = append(d.keys, k)
	}
	allDifferent(keys)
	d.certificates = parseCertificates(c)
	d.parseSuites(c)
	for _, v := range c.list(0, 256) {
		s := v.structure(3)
		r := revocation{keyID: s.hash()}
		s.slug()
		r.at = s.time()
		d.revoked = append(d.revoked, r)
	}
	d.witness = parseNoteKeys(c)
}

func (d *document) parsePrekeys(c *cursor) {
	end := uint64(0)
	for _, v := range c.list(1, 32) {
		s := v.structure(4)
		d.prekeys = append(d.prekeys, s.blob(1216, 1216))
		from, until, keep := s.time(), s.time(), s.time()
		if from < end || from >= until || until > keep {
			bad("the times of the prekeys are not in order")
		}
		end = until
	}
	allDifferent(d.prekeys)
	c.bool()
}
