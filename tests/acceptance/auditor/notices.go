// notices.go: what the ledger's times and the statements about one notice have to satisfy among themselves
// (bundle.md, steps 21 to 26). Deadlines (step 27) are statistics, and not looked at.

package main

import (
	"fmt"
	"slices"
)

const hourMs = 3600000

// tick is one witnessed checkpoint.
type tick struct {
	size, ms            uint64
	notBefore, notAfter uint64
}

// checkTimes is step 21.
func (a *auditor) checkTimes() {
	for i := range a.clock {
		a.clock[i].notAfter = a.clock[i].ms
		if i > 0 {
			a.clock[i].notAfter = max(a.clock[i].ms, a.clock[i-1].notAfter)
		}
	}
	for i := len(a.clock) - 1; i >= 0; i-- {
		a.clock[i].notBefore = a.clock[i].ms
		if i+1 < len(a.clock) {
			a.clock[i].notBefore = min(a.clock[i].ms, a.clock[i+1].notBefore)
		}
	}
	next := 0 // the first checkpoint with the leaf
	for i, time := range a.ackTimes {
		for next < len(a.clock) && a.clock[next].size <= uint64(i) {
			next++
		}
		if time > maxTime {
			continue // malformed, and said so
		}
		if next > 0 && time+mergeMs+skewMs < a.clock[next-1].notBefore {
			a.r.fail(leafName(uint64(i)), "its time is earlier than a checkpoint without it permits")
		}
		if next < len(a.clock) && time > a.clock[next].notAfter+skewMs {
			a.r.fail(leafName(uint64(i)), "its time is later than the first checkpoint with it permits")
		}
		if next == len(a.clock) {
			a.r.skip(leafName(uint64(i)), "it is under no witnessed checkpoint")
		}
		a.r.count("leaf times")
	}
}

// checkCompromised is step 22: what a thief may have said counts nothing, and could not be checked.
func (a *auditor) checkCompromised() {
	kept := a.entries[:0]
	for _, e := range a.entries {
		where := leafName(e.leaf)
		if n := a.notices[e.envelope]; e.kind == relayed && n != nil && a.doubtful(e.leaf, n.sender, n.keyID) {
			a.r.skip(where, "the notice may be a thief's: governance confirms that its key was compromised")
		}
		if a.doubtful(e.leaf, e.party, e.keyID) {
			a.r.skip(where, "%v: it may be a thief's: governance confirms that its key was compromised", e)
			a.ownFail++
			continue
		}
		kept = append(kept, e)
	}
	a.entries = kept
}

// doubtful tells whether no checkpoint with the leaf was witnessed before its key was compromised.
func (a *auditor) doubtful(leaf uint64, party string, id hash) bool {
	since, compromised := a.all.compromisedSince(party, id)
	if !compromised {
		return false
	}
	for _, t := range a.clock {
		if t.size > leaf {
			return t.notAfter >= since
		}
	}
	return true
}

// checkNotices is steps 23 to 26.
func (a *auditor) checkNotices() {
	about := map[hash][]entry{}
	var order []hash
	for _, e := range a.entries {
		if e.kind == directoryKind {
			continue
		}
		if about[e.envelope] == nil {
			order = append(order, e.envelope)
		}
		about[e.envelope] = append(about[e.envelope], e)
	}
	for _, id := range order {
		a.oneNotice(id, about[id])
		a.r.count("notices")
	}
}

func (a *auditor) oneNotice(id hash, entries []entry) {
	where := fmt.Sprintf("notice %x", id[:4])
	first := slices.IndexFunc(entries, func(e entry) bool { return e.kind == relayed })
	if first < 0 {
		if a.from == 0 && a.member == "" && a.ownFail == 0 {
			a.r.fail(leafName(entries[0].leaf), "%s was never relayed", where)
		} else {
			a.r.skip(leafName(entries[0].leaf), "whether %s was relayed is not known", where)
		}
	}
	for i, e := range entries {
		if first >= 0 && i < first {
			a.r.fail(leafName(e.leaf), "%v: it stands before %s was relayed", e, where)
		}
		if e.kind == relayed && i > first {
			a.r.fail(leafName(e.leaf), "%s is relayed twice", where)
		}
	}
	n := a.notices[id]
	if n == nil {
		a.r.skip(leafName(entries[0].leaf), "%s: without its manifest, who may speak of it is not known", where)
	}
	deliveries := map[string][]entry{}
	for _, e := range entries {
		switch e.kind {
		case relayed:
		case withdrawn, superseded:
			if n != nil && e.party != n.sender {
				a.r.fail(leafName(e.leaf), "%v: it is not the sender", e)
			}
		default:
			recipient := e.party
			if e.kind == undelivered {
				recipient = e.about
			}
			if n != nil && !n.has(recipient) {
				a.r.fail(leafName(e.leaf), "%v: %s is no recipient", e, recipient)
				continue
			}
			a.contradiction(deliveries[recipient], e)
			deliveries[recipient] = append(deliveries[recipient], e)
		}
	}
	if n == nil || first < 0 || len(a.clock) == 0 || a.clock[len(a.clock)-1].ms <= n.expires+hourMs {
		return
	}
	for _, x := range n.recipients { // step 26
		if len(deliveries[x.state]) > 0 || a.member != "" && a.member != n.sender && a.member != x.state {
			continue
		}
		if a.ownFail > 0 {
			a.r.skip(where, "what became of it at %s is not known", x.state)
		} else {
			a.r.fail(where, "it has expired, and nothing says what became of it at %s", x.state)
		}
	}
}

// contradiction is step 25.
func (a *auditor) contradiction(earlier []entry, e entry) {
	said := func(kinds ...uint64) bool {
		return slices.ContainsFunc(earlier, func(x entry) bool { return slices.Contains(kinds, x.kind) })
	}
	wrong := false
	switch e.kind {
	case rejected, undelivered:
		wrong = said(received, opened, accepted, completed, declined)
	case accepted, declined:
		wrong = said(completed)
	case completed: // after DECLINED, unless the table of deliveries has led on to `accepted`
		decision := uint64(0)
		for _, x := range earlier {
			if x.kind == accepted || x.kind == declined {
				decision = x.kind
			}
		}
		wrong = decision == declined
	}
	if e.kind != rejected && said(rejected) {
		wrong = true
	}
	if wrong {
		a.r.fail(leafName(e.leaf), "%v: it contradicts an earlier statement of the same delivery", e)
	}
}
