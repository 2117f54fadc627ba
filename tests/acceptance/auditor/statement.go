// statement.go: statements and the manifests of notices, as bytes give them (statement.md, notice.md).

package main

import (
	"fmt"
	"slices"
)

const (
	maxStatement = 22528
	maxBody      = 18432
	maxManifest  = 32768
	maxHeader    = 36864 // a record of `headers`: manifest and proof
	weekMs       = 604800000
)

const (
	received, opened, accepted, completed, declined, rejected  = 1, 2, 3, 4, 5, 6
	withdrawn, superseded, relayed, undelivered, directoryKind = 16, 17, 32, 33, 48
)

type rule struct {
	name, role         string
	code, proof, about bool
	detail             bool // may be there
}

var kinds = map[uint64]rule{
	received:      {"RECEIVED", "node", false, true, false, false},
	opened:        {"OPENED", "officer", false, true, false, true},
	accepted:      {"ACCEPTED", "officer", false, true, false, true},
	completed:     {"COMPLETED", "officer", false, true, false, true},
	declined:      {"DECLINED", "officer", true, true, false, true},
	rejected:      {"REJECTED", "node", true, false, false, false},
	withdrawn:     {"WITHDRAWN", "node", false, false, false, false},
	superseded:    {"SUPERSEDED", "node", false, false, false, false},
	relayed:       {"RELAYED", "coordinator", false, false, false, false},
	undelivered:   {"UNDELIVERED", "coordinator", true, false, true, false},
	directoryKind: {"DIRECTORY", "coordinator", false, false, false, false},
}

var declineReasons = []string{"not-affected", "not-competent", "no-capacity", "not-enough-information",
	"legal-obstacle", "handled-elsewhere", "other"}

type directoryHead struct {
	version uint64
	hash    hash
}

type seenCheckpoint struct {
	origin string
	size   uint64
	root   hash
}

type statement struct {
	body      []byte
	id        hash
	proof     proof
	suite     uint64
	kind      uint64
	party     string
	keyID     hash
	envelope  hash
	at        uint64
	sequence  uint64
	previous  hash
	directory directoryHead
	seen      *seenCheckpoint
	about     string
}

func (c *cursor) directoryHead() directoryHead {
	s := c.sub(2)
	return directoryHead{s.uint(0, maxUint), s.hash()}
}

func parseStatement(signed []byte) (s *statement, err error) {
	if len(signed) > maxStatement {
		return nil, fmt.Errorf("the statement is too large")
	}
	err = parsing("the statement", func() {
		c := decode(signed).structure(3)
		c.tag("alm1-statement")
		s = &statement{body: c.blob(0, maxBody), proof: c.proof()}
		s.id = tagged("aid", s.body)
		s.parseBody(decode(s.body).structure(16))
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *statement) parseBody(c *cursor) {
	c.uint(1, 1)
	s.suite = c.uint(0, 65535)
	s.kind = c.uint(0, maxUint)
	kind, ok := kinds[s.kind]
	if !ok {
		bad("unknown kind %d", s.kind)
	}
	s.party, s.keyID = c.code(), c.hash()
	c.hash()
	s.envelope, s.at, s.sequence, s.previous = c.hash(), c.time(), c.uint(1, maxUint), c.hash()
	s.directory = c.directoryHead()
	if !c.isNil() {
		p := c.sub(3)
		s.seen = &seenCheckpoint{p.line(), p.uint(0, maxUint), p.hash()}
	}
	there := func(what string, wanted, may bool, read func()) {
		is := !c.isNil()
		if is {
			read()
		}
		if is != wanted && !(is && may) {
			bad("`%s` does not fit the kind %s", what, kind.name)
		}
	}
	there("about", kind.about, false, func() { s.about = c.code() })
	there("code", kind.code, false, func() {
		if code := c.slug(); s.kind == declined && !slices.Contains(declineReasons, code) {
			bad("unknown reason %q", code)
		}
	})
	there("decryption_proof", kind.proof, false, func() { c.hash() })
	there("detail", false, kind.detail, func() { d := c.sub(2); d.hash(); d.blob(0, 16384) })
	if s.kind == directoryKind && (s.seen == nil || s.seen.root != s.envelope) {
		bad("DIRECTORY has no `seen`, or another envelope than its root")
	}
	if (s.sequence == 1) != (s.previous == hash{}) {
		bad("`previous` is zeros exactly when `sequence` is 1")
	}
}

func (s *statement) String() string { return kinds[s.kind].name + " of " + s.party }

type recipient struct {
	state  string
	prekey hash
}

type notice struct {
	raw        []byte
	envelope   hash
	suite      uint64
	sender     string
	keyID      hash
	created    uint64
	expires    uint64
	directory  directoryHead
	recipients []recipient
}

func (n *notice) has(state string) bool {
	return slices.ContainsFunc(n.recipients, func(r recipient) bool { return r.state == state })
}

func parseNotice(manifest []byte) (n *notice, err error) {
	if len(manifest) > maxManifest {
		return nil, fmt.Errorf("the manifest is too large")
	}
	err = parsing("the manifest", func() {
		n = &notice{raw: manifest, envelope: tagged("eid", manifest)}
		c := decode(manifest).structure(5)
		header := c.blob(0, 16384)
		wraps := c.list(1, 200)
		for _, v := range wraps {
			v.hash()
		}
		c.hash()
		c.uint(0, 1572864)
		c.list(0, 0)
		n.parseHeader(decode(header).structure(13))
		if len(wraps) != len(n.recipients) {
			bad("not as many wraps as recipients")
		}
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (n *notice) parseHeader(c *cursor) {
	c.uint(1, 1)
	n.suite = c.uint(0, 65535)
	c.uint(1, 7)
	c.bool()
	n.sender, n.keyID = c.code(), c.hash()
	c.blob(16, 16)
	n.created, n.expires = c.time(), c.time()
	n.directory = c.directoryHead()
	last := ""
	for _, v := range c.list(1, 200) {
		s := v.structure(2)
		r := recipient{s.code(), s.hash()}
		if r.state <= last {
			bad("recipients are not sorted, or one stands twice")
		}
		last = r.state
		n.recipients = append(n.recipients, r)
	}
	tag := c.sub(4)
	tag.slug()
	tag.uint(1, 65535)
	tag.slug()
	if !tag.isNil() {
		tag.uint(0, 5)
	}
	if !c.isNil() {
		c.time()
	}
	if n.expires <= n.created || n.expires-n.created > weekMs {
		bad("it expires before it was made, or more than a week after")
	}
}
