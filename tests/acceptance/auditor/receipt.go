// receipt.go: a receipt, read part by part; each part is judged by the documents above it (receipt.md). The first
// thing that is wrong ends the reading: a receipt of which one part is false proves nothing.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	maxReceipt     = 64 << 20
	maxParts       = 16384
	maxComments    = 4096
	maxComment     = 1000
	maxPath        = 63
	base64Line     = 76
	receiptHeading = "almenara receipt v1"
)

// lineReader walks over the lines of a text that ends in a newline.
type lineReader struct {
	lines []string
	at    int
}

func (l *lineReader) done() bool { return l.at >= len(l.lines) }

func (l *lineReader) peek() string {
	if l.done() {
		return ""
	}
	return l.lines[l.at]
}

func (l *lineReader) next() string { s := l.peek(); l.at++; return s }

func (l *lineReader) empty() {
	if l.done() || l.next() != "" {
		bad("line %d: an empty line is missing", l.at)
	}
}

func (l *lineReader) value(key string) string {
	rest, ok := strings.CutPrefix(l.next(), key+" ")
	if !ok {
		bad("line %d: expected `%s`", l.at, key)
	}
	return rest
}

func (l *lineReader) number(key string) uint64 {
	n, ok := decimal(l.value(key))
	if !ok {
		bad("line %d: expected a number", l.at)
	}
	return n
}

// blob reads base64 in lines of 76 characters, of which only the last may be shorter.
func (l *lineReader) blob() []byte {
	var all strings.Builder
	for full := true; full && !l.done(); {
		line := l.peek()
		if line == "" || strings.Contains(line, " ") || line == "proof" {
			break
		}
		if len(line) > base64Line {
			bad("line %d: a line of base64 is too long", l.at+1)
		}
		full = len(line) == base64Line
		all.WriteString(line)
		l.at++
	}
	raw, ok := base64One(all.String())
	if !ok || len(raw) == 0 {
		bad("line %d: not base64 in lines", l.at)
	}
	return raw
}

// proven is what a receipt has come to while it is read.
type proven struct {
	r           *report
	t           *trust
	code        string // of the coordinator
	notice      *notice
	checkpoint  *checkpoint
	witnessedMs uint64
	dirVersion  uint64 // of the directory that stood above the checkpoint
	roots       map[uint64]hash
	said        map[hash]bool
	signers     []witnessedKey // of the statements
}

// witnessedKey is a key of a party, and when what it signed was witnessed.
type witnessedKey struct {
	party string
	keyID hash
	ms    uint64
}

func auditReceipt(path string, pinned hash, r *report) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxReceipt+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxReceipt {
		r.fail("receipt", "it is too large")
		return "", nil
	}
	p := &proven{r: r, t: newTrust(pinned), roots: map[uint64]hash{}, said: map[hash]bool{}}
	where := "head"
	err = parsing("the text", func() {
		if err := p.read(string(data), pinned, &where); err != nil {
			r.fail(where, "%v", err)
		}
	})
	if err != nil {
		r.fail(where, "%v", err)
	}
	if p.notice == nil {
		return "", nil
	}
	return fmt.Sprintf("the receipt of notice %x proves %d statements, by %d documents and %d checkpoints, the last "+
		"of which was witnessed by %s", p.notice.envelope, r.counts["statements"], r.counts["documents"],
		r.counts["checkpoints"], instant(p.witnessedMs)), nil
}

func (p *proven) read(text string, pinned hash, where *string) error {
	if !utf8.ValidString(text) || !strings.HasSuffix(text, "\n") {
		bad("it is not UTF-8, or does not end in a newline")
	}
	for _, r := range text {
		if isControl(r) && r != '\n' {
			bad("it holds a control character")
		}
	}
	l := &lineReader{lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
	if l.next() != receiptHeading {
		bad("it does not begin with %q", receiptHeading)
	}
	comments := 0
	for ; strings.HasPrefix(l.peek(), "#"); comments++ {
		rest, spaced := strings.CutPrefix(l.next()[1:], " ")
		if spaced == (rest == "") || utf8.RuneCountInString(rest) > maxComment ||
			comments == maxComments {
			bad("line %d: the comment is malformed", l.at)
		}
	}
	l.empty()
	if community, ok := readHash(l.value("community")); !ok {
		bad("`community` is no hash")
	} else if community != pinned {
		return errors.New("wrong-community: it is not the pinned root hash")
	}
	if p.code = l.value("coordinator"); !codeForm.MatchString(p.code) {
		bad("`coordinator` is no code")
	}
	for part := 1; !l.done(); part++ {
		l.empty()
		kind := l.next()
		*where = fmt.Sprintf("part %d (%s, line %d)", part, kind, l.at)
		if part > maxParts {
			bad("too many parts")
		}
		var err error
		switch kind {
		case "document":
			err = p.document(l.blob())
		case "notice":
			manifest := l.blob()
			if l.next() != "proof" {
				bad("line %d: expected `proof`", l.at)
			}
			err = p.theNotice(manifest, l.blob())
		case "checkpoint":
			err = p.theCheckpoint(l)
		case "statement":
			err = p.statement(l)
		default:
			*where = fmt.Sprintf("part %d (line %d)", part, l.at)
			bad("an unknown part")
		}
		if err != nil {
			return err
		}
	}
	*where = "end"
	if p.notice == nil || len(p.said) == 0 {
		bad("there is no notice, or no statement")
	}
	return p.uncompromised()
}

// uncompromised refuses what a thief may have signed, wherever the directory that says so stands.
func (p *proven) uncompromised() error {
	first := p.signers[0].ms
	for _, s := range p.signers {
		first = min(first, s.ms)
	}
	for _, s := range append(p.signers, witnessedKey{p.notice.sender, p.notice.keyID, first}) {
		if since, ok := p.t.compromisedSince(s.party, s.keyID); ok && s.ms >= since {
			return fmt.Errorf("key-revoked: a key of %s was compromised before witnesses had what it signed", s.party)
		}
	}
	return nil
}

func (p *proven) document(signed []byte) error {
	d, err := parseDocument(signed)
	if err != nil {
		return err
	}
	if p.t.bodies[d.id] {
		return errors.New("it stands there twice")
	}
	if err := p.t.check(d, nil); err != nil {
		return err
	}
	p.t.apply(d)
	p.r.count("documents")
	return nil
}

func (p *proven) theNotice(manifest, rawProof []byte) error {
	if p.notice != nil {
		return errors.New("there is more than one notice")
	}
	n, err := parseNotice(manifest)
	if err != nil {
		return err
	}
	var sig proof
	if err := parsing("the proof", func() {
		c := &cursor{items: []value{decode(rawProof)}}
		sig = c.proof()
	}); err != nil {
		return err
	}
	if !p.t.suiteAllowed(n.suite) {
		return errors.New("suite-refused")
	}
	if _, withdrawn := p.t.withdrawnSince(n.sender, n.keyID); withdrawn {
		return errors.New("key-revoked: the notice stands below the revocation of its key")
	}
	k, err := p.speakerAt(n.sender, n.keyID, "node", n.created, 0)
	if err != nil {
		return err
	}
	if err := verify("notice", k.key, manifest, sig); err != nil {
		return err
	}
	p.notice = n
	return nil
}

// speakerAt is a key that had a role at a time; a coordinator's also one that a directory replaced after `knew`.
func (p *proven) speakerAt(party string, id hash, role string, at, knew uint64) (speaker, error) {
	k, err := p.t.speaker(party, id, role)
	if old, ok := p.t.former[party+"/"+string(id[:])]; ok && err != nil && role == "coordinator" && knew < old.in {
		return speaker{key: old.key, end: maxUint}, nil
	}
	if err == nil && (at < k.from || at >= k.end) {
		err = errors.New("unknown-signer: its key was not valid at the time that it states")
	}
	return k, err
}

func (p *proven) theCheckpoint(l *lineReader) error {
	first := l.at
	l.at += 4 // three lines and an empty one
	for strings.HasPrefix(l.peek(), signatureMark) {
		l.at++
	}
	if l.at > len(l.lines) {
		bad("the checkpoint is cut off")
	}
	c, err := parseCheckpoint([]byte(strings.Join(l.lines[first:l.at], "\n") + "\n"))
	if err != nil {
		return err
	}
	if root, ok := p.roots[c.size]; ok && root != c.root {
		return errors.New("forked: an earlier checkpoint names another root for this size")
	}
	log := p.t.coordinator(p.code)
	if log == nil {
		return errors.New("unknown-signer: the documents above name no coordinator " + p.code)
	}
	witnesses, active := p.t.witnesses()
	j, err := c.judge(log.log.name+"/ack", log.log, witnesses)
	if err != nil {
		return err
	}
	ms, err := j.witnessedMs(active)
	if err != nil {
		return err
	}
	if j.strangers > 0 {
		return errors.New("unknown-signer: it has other signature lines")
	}
	p.roots[c.size] = c.root
	p.checkpoint, p.witnessedMs, p.dirVersion = c, ms, p.t.directory.version
	p.r.count("checkpoints")
	return nil
}

func (p *proven) statement(l *lineReader) error {
	recorded := l.number("recorded")
	signed := l.blob()
	index := l.number("index")
	var path []hash
	for !l.done() && l.peek() != "" {
		raw, ok := base64One(l.next())
		if !ok || len(raw) != 32 || len(path) == maxPath {
			bad("line %d: the path is malformed", l.at)
		}
		path = append(path, hash(raw))
	}
	if recorded > maxTime {
		bad("`recorded` is no time")
	}
	s, err := parseStatement(signed)
	if err != nil {
		return err
	}
	if p.notice == nil || p.checkpoint == nil || p.said[s.id] {
		return errors.New("it stands above the notice or its checkpoint, or twice")
	}
	if s.envelope != p.notice.envelope || s.kind == directoryKind {
		return errors.New("not-trusted: it is about another notice")
	}
	allowed := p.notice.has(s.party)
	switch s.kind {
	case relayed:
		allowed = s.party == p.code
	case undelivered:
		allowed = s.party == p.code && p.notice.has(s.about)
	case withdrawn, superseded:
		allowed = s.party == p.notice.sender
	}
	if !allowed {
		return fmt.Errorf("unknown-signer: %v may not be said by it", s)
	}
	if !p.t.suiteAllowed(s.suite) {
		return errors.New("suite-refused")
	}
	k, err := p.speakerAt(s.party, s.keyID, kinds[s.kind].role, s.at, s.directory.version)
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	if err := verify("statement", k.key, s.body, s.proof); err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	if known, ok := p.t.directories[s.directory.version]; ok && known != s.directory.hash {
		return fmt.Errorf("forked: %v: its signer was shown another directory", s)
	}
	if s.directory.version > p.dirVersion {
		return fmt.Errorf("version-gap: %v: its signer knew a newer directory", s)
	}
	if since, withdrawn := p.t.withdrawnSince(s.party, s.keyID); withdrawn && p.witnessedMs >= since {
		return fmt.Errorf("key-revoked: %v: it stands below the revocation of its key", s)
	}
	digest := tagged("leaf", signed)
	root, err := pathRoot(leafHash(statementLeaf(s.kind, recorded, digest)), index, p.checkpoint.size, path)
	if err != nil {
		return err
	}
	if root != p.checkpoint.root {
		return fmt.Errorf("not-trusted: %v: it is not in the ledger", s)
	}
	if recorded > p.witnessedMs+clockSkewMs {
		return fmt.Errorf("not-trusted: %v: recorded after its checkpoint was witnessed", s)
	}
	p.said[s.id] = true
	p.signers = append(p.signers, witnessedKey{s.party, s.keyID, p.witnessedMs})
	p.r.count("statements")
	return nil
}
