package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"strings"
)

// Decision is a hub's word on one wallet. Times are epoch milliseconds.
type Decision struct {
	Wallet       []byte
	Status       uint64
	FreshUntilMs uint64
	StaleUntilMs uint64
	Audience     string
	SessionKey   []byte // nil: it proves nobody's presence
	KeyID        string
}

const decisionBytesMax = 255

// VerifyDecision returns the decision that one of the hub's keys signed for audience.
func VerifyDecision(signed []byte, keys map[string]ed25519.PublicKey, audience string) (*Decision, error) {
	if len(signed) <= ed25519.SignatureSize || len(signed) > decisionBytesMax {
		return nil, errors.New("a decision has 65 to 255 bytes")
	}
	body := signed[ed25519.SignatureSize:]
	decision, err := parseDecision(body)
	if err != nil {
		return nil, err
	}
	key, known := keys[decision.KeyID]
	if !known {
		return nil, errors.New("none of the known hubs signed this")
	}
	covered := append([]byte("realtime/decision/v1\n"), body...)
	if !ed25519.Verify(key, covered, signed[:ed25519.SignatureSize]) {
		return nil, errors.New("the signature is not that key's over this")
	}
	if decision.Audience != audience {
		return nil, errors.New("made for another audience")
	}
	return decision, nil
}

// parseDecision reads the msgpack array
// [v, wallet, status, score, seq, epoch, issued, fresh, stale, audience, key or nil, key id, nonce?].
func parseDecision(body []byte) (*Decision, error) {
	reader := msgpack{data: body}
	count := reader.next()
	version, wallet, status := reader.uint(), reader.bytes(), reader.uint()
	reader.uint()  // score
	reader.uint()  // seq
	reader.bytes() // epoch
	reader.uint()  // issued
	fresh, stale, audience := reader.uint(), reader.uint(), reader.text()
	session, keyID := reader.bytesOrNil(), reader.bytes()
	if count == 0x9d {
		reader.text() // nonce
	}
	whole := (count == 0x9c || count == 0x9d) && version == 1 && len(wallet) == 32 && len(keyID) == 8
	if reader.failed || !whole || len(reader.data) != 0 || (session != nil && len(session) != 32) {
		return nil, errors.New("not in the form of a decision")
	}
	return &Decision{wallet, status, fresh, stale, audience, session, string(keyID)}, nil
}

// msgpack reads the few forms that a decision has; after a failure everything it returns is zero.
type msgpack struct {
	data   []byte
	failed bool
}

func (m *msgpack) take(count int) []byte {
	if m.failed || len(m.data) < count {
		m.failed = true
		return make([]byte, count)
	}
	taken := m.data[:count]
	m.data = m.data[count:]
	return taken
}

func (m *msgpack) next() byte { return m.take(1)[0] }

func (m *msgpack) uint() uint64 {
	switch kind := m.next(); {
	case kind < 0x80:
		return uint64(kind)
	case kind == 0xcc:
		return uint64(m.next())
	case kind == 0xcd:
		return uint64(binary.BigEndian.Uint16(m.take(2)))
	case kind == 0xce:
		return uint64(binary.BigEndian.Uint32(m.take(4)))
	case kind == 0xcf:
		return binary.BigEndian.Uint64(m.take(8))
	}
	m.failed = true
	return 0
}

func (m *msgpack) bytes() []byte {
	if m.next() != 0xc4 {
		m.failed = true
	}
	return append([]byte{}, m.take(int(m.next()))...)
}

func (m *msgpack) bytesOrNil() []byte {
	if !m.failed && len(m.data) > 0 && m.data[0] == 0xc0 {
		m.take(1)
		return nil
	}
	return m.bytes()
}

func (m *msgpack) text() string {
	kind := m.next()
	if kind == 0xd9 {
		return string(m.take(int(m.next())))
	}
	if kind&0xe0 != 0xa0 {
		m.failed = true
	}
	return string(m.take(int(kind & 0x1f)))
}

// publicKeyOf returns the key in an identity's first 56 letters. The last four are a checksum, which
// the hub checks when it is asked for the wallet.
func publicKeyOf(identity string) ([]byte, bool) {
	if len(identity) != 60 || strings.Trim(identity, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, false
	}
	key := make([]byte, 0, 32)
	for word := 0; word < 4; word++ {
		var value uint64
		for letter := 13; letter >= 0; letter-- {
			value = value*26 + uint64(identity[word*14+letter]-'A')
		}
		key = binary.LittleEndian.AppendUint64(key, value)
	}
	return key, true
}
