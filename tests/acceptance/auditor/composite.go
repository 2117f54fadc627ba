// composite.go: composite signatures over small batch trees, and the admission of keys (signatures.md).

package main

import (
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
)

const (
	keySize       = 1984
	signatureSize = 3373
	algorithm     = "COMPSIG-MLDSA65-Ed25519-SHA512"
	edHalf        = mldsa.MLDSA65PublicKeySize
)

// What may be signed in a batch, by kind of object.
var batched = map[string]bool{
	"notice": true, "statement": true, "root": false, "directory": false, "manifest": false, "prekeys": true,
	"publication": true, "pop": true,
}

type proof struct {
	signature   []byte
	index, size uint64
	path        []hash
}

func (c *cursor) proof() proof {
	s := c.sub(4)
	p := proof{signature: s.blob(signatureSize, signatureSize), index: s.uint(0, 255), size: s.uint(1, 256)}
	for _, v := range s.list(0, 8) {
		p.path = append(p.path, v.hash())
	}
	return p
}

func alone(signature []byte) proof { return proof{signature: signature, size: 1} }

func pae(kind string, x []byte) []byte {
	media := "application/vnd.almenara." + kind + ".v1+msgpack"
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(media), media, len(x)), x...)
}

func signingKeyID(key []byte) hash { return tagged("sig", []byte(algorithm+"\x00"), key) }
func prekeyID(key []byte) hash     { return tagged("kem", []byte{0x64, 0x7a}, key) }

var errSignature = errors.New("the composite signature does not verify")

var verified = map[hash]bool{} // roots that did verify, under everything that they depend on

// verify checks a proof over the received bytes of an object of a kind.
func verify(kind string, key, object []byte, p proof) error {
	batch, known := batched[kind]
	if !known || p.size != 1 && !batch {
		return fmt.Errorf("a %s is never signed in a batch", kind)
	}
	inner := sha256.Sum256(pae(kind, object))
	root, err := pathRoot(leafHash(inner[:]), p.index, p.size, p.path)
	if err != nil {
		return fmt.Errorf("batch proof: %w", err)
	}
	if err := admit(key); err != nil {
		return err
	}
	memory := tagged("memory", key, []byte(kind+"\x00"), root[:], p.signature)
	if verified[memory] {
		return nil
	}
	context := "almenara/1/" + kind
	digest := sha512.Sum512(pae(kind, root[:]))
	m := []byte("CompositeAlgorithmSignatures2025" + algorithm)
	m = append(m, byte(len(context)))
	m = append(m, context...)
	m = append(m, digest[:]...)
	if !ed25519.Verify(key[edHalf:], m, p.signature[mldsa.MLDSA65SignatureSize:]) {
		return errSignature
	}
	public, err := mldsa.NewPublicKey(mldsa.MLDSA65(), key[:edHalf])
	if err != nil {
		return err
	}
	options := &mldsa.Options{Context: algorithm}
	if mldsa.Verify(public, m, p.signature[:mldsa.MLDSA65SignatureSize], options) != nil {
		return errSignature
	}
	verified[memory] = true
	return nil
}

// admit is the admission of a composite public key.
func admit(key []byte) error {
	if len(key) != keySize {
		return errors.New("key refused: its length")
	}
	if err := admitEd25519(key[edHalf:]); err != nil {
		return err
	}
	_, err := mldsa.NewPublicKey(mldsa.MLDSA65(), key[:edHalf])
	return err
}

var (
	fieldPrime = func() *big.Int {
		p := new(big.Int).Lsh(big.NewInt(1), 255)
		return p.Sub(p, big.NewInt(19))
	}()
	curveD = func() *big.Int { // -121665/121666
		d := new(big.Int).ModInverse(big.NewInt(121666), fieldPrime)
		d.Mul(d, big.NewInt(-121665))
		return d.Mod(d, fieldPrime)
	}()
	admitted25519 = map[[32]byte]bool{}
)

// admitEd25519 refuses what is not canonical, is of small order, or is no point of -x² + y² = 1 + d·x²·y². Points
// of small order follow from the curve here; the test compares with those that the page prints.
func admitEd25519(raw []byte) error {
	if admitted25519[[32]byte(raw)] {
		return nil
	}
	little := make([]byte, 32)
	for i, b := range raw {
		little[31-i] = b
	}
	little[0] &= 0x7f
	y := new(big.Int).SetBytes(little)
	if y.Cmp(fieldPrime) >= 0 {
		return errors.New("key refused: the Ed25519 half is not canonical")
	}
	mod := func(x *big.Int) *big.Int { return x.Mod(x, fieldPrime) }
	one := big.NewInt(1)
	y2 := mod(new(big.Int).Mul(y, y))
	u := mod(new(big.Int).Sub(y2, one))                                // y² - 1
	v := mod(new(big.Int).Add(mod(new(big.Int).Mul(curveD, y2)), one)) // d·y² + 1
	if v.Sign() == 0 || big.Jacobi(mod(new(big.Int).Mul(u, v)), fieldPrime) < 0 {
		return errors.New("key refused: the Ed25519 half is no point")
	}
	// x² = u/v. Of order 1 and 2 is x = 0; of order 4, y = 0; of order 8, x² = -y², because its double has y = 0.
	eight := mod(new(big.Int).Add(u, mod(new(big.Int).Mul(y2, v))))
	if u.Sign() == 0 || y.Sign() == 0 || eight.Sign() == 0 {
		return errors.New("key refused: the Ed25519 half is of small order")
	}
	admitted25519[[32]byte(raw)] = true
	return nil
}
