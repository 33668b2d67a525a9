package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	nonceLife    = time.Minute
	tokenLife    = 15 * time.Minute
	keysLife     = 5 * time.Minute
	bodyMax      = 4_096
	noncesMax    = 100_000
	statusActive = 1
)

type walletKey struct{}

// WalletOf returns whose request this is; the guard has proven it.
func WalletOf(r *http.Request) string { return r.Context().Value(walletKey{}).(string) }

// Guard lets requests through to an inner handler by their wallet.
type Guard struct {
	api, audience string
	feed          *TrustFeed
	scoreMin      int
	inner         http.Handler
	secret        []byte
	lock          sync.Mutex
	used          map[string]time.Time
	keys          map[string]ed25519.PublicKey
	keysRead      time.Time
}

// NewGuard returns a guard whose tokens are good in this process only.
func NewGuard(api string, feed *TrustFeed, audience string, scoreMin int, inner http.Handler) *Guard {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		panic(err)
	}
	return &Guard{
		api: api, audience: audience, feed: feed, scoreMin: scoreMin, inner: inner,
		secret: secret, used: map[string]time.Time{},
	}
}

type refusal struct {
	status        int
	title, detail string
}

func (r *refusal) Error() string { return r.detail }

func stranger(detail string) error { return &refusal{401, "not_authenticated", detail} }

func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wallet, answer, err := "", any(nil), error(nil)
	switch r.URL.Path {
	case "/.realtime/challenge":
		answer = map[string]string{"nonce": g.issueNonce(), "audience": g.audience}
	case "/.realtime/session":
		answer, err = g.logIn(r)
	default:
		if wallet, err = g.authenticate(r); err == nil {
			err = g.judge(wallet)
		}
	}
	switch {
	case err != nil:
		refuse(w, err)
	case answer != nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	default:
		r.Header.Del("X-Wallet-Address")
		g.inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), walletKey{}, wallet)))
	}
}

func (g *Guard) judge(wallet string) error {
	state, known := g.feed.Get(wallet)
	switch {
	case !known:
		return &refusal{503, "trust_stale", "the hub doesn't vouch now"}
	case state.Status == "BLOCKED":
		return &refusal{403, "wallet_blocked", "the wallet is blocked"}
	case state.Status != "ACTIVE" || state.Score < g.scoreMin:
		return &refusal{403, "trust_too_low", fmt.Sprintf("this needs a score of %d", g.scoreMin)}
	}
	return nil
}

func (g *Guard) authenticate(r *http.Request) (string, error) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || scheme != "Bearer" {
		// X-Wallet-Address alone proves nothing: anybody can send it.
		return "", stranger("prove your wallet at /.realtime/session, send the token as Bearer")
	}
	until, wallet, err := g.open("token", token)
	if err != nil || time.Now().After(until) {
		return "", stranger("no token of ours, or one that has run out")
	}
	return wallet, nil
}

func (g *Guard) logIn(r *http.Request) (any, error) {
	var body struct{ Wallet, Decision, Nonce, Proof string }
	err := json.NewDecoder(io.LimitReader(r.Body, bodyMax)).Decode(&body)
	signed, err1 := base64.RawURLEncoding.DecodeString(body.Decision)
	proof, err2 := base64.RawURLEncoding.DecodeString(body.Proof)
	if r.Method != http.MethodPost || err != nil || err1 != nil || err2 != nil {
		return nil, &refusal{400, "bad_message", "POST wallet, decision, nonce and proof"}
	}
	keys, err := g.hubKeys()
	if err != nil {
		return nil, &refusal{503, "trust_stale", "the hub's keys can't be read now"}
	}
	decision, err := VerifyDecision(signed, keys, g.audience)
	if err != nil {
		return nil, stranger(err.Error())
	}
	now := time.Now()
	fresh := uint64(now.UnixMilli()) < decision.FreshUntilMs && decision.Status == statusActive
	if !fresh || decision.SessionKey == nil {
		return nil, stranger("fetch a new decision")
	}
	if key, ok := publicKeyOf(body.Wallet); !ok || !bytes.Equal(key, decision.Wallet) {
		return nil, stranger("the decision is about another wallet")
	}
	if !g.useNonce(body.Nonce, now) {
		return nil, stranger("the nonce was used or is too old; ask for another one")
	}
	covered := []byte("realtime/presence/v1\n" + g.audience + "\n" + body.Nonce)
	if !ed25519.Verify(decision.SessionKey, covered, proof) {
		return nil, stranger("the session key in the decision did not sign this nonce")
	}
	if err := g.judge(body.Wallet); err != nil {
		return nil, err
	}
	until := now.Add(tokenLife)
	if stale := time.UnixMilli(int64(decision.StaleUntilMs)); stale.Before(until) {
		until = stale
	}
	token := g.seal("token", until, body.Wallet)
	return map[string]any{"token": token, "expires_ms": until.UnixMilli(), "wallet": body.Wallet}, nil
}

// A sealed value is a text and its end under a MAC, so that nothing is stored before it is used.
func (g *Guard) seal(kind string, until time.Time, value string) string {
	body := strconv.FormatInt(until.UnixMilli(), 10) + "." + value
	mac := hmac.New(sha256.New, g.secret)
	mac.Write([]byte(kind + "\n" + g.audience + "\n" + body))
	return body + "." + hex.EncodeToString(mac.Sum(nil))
}

func (g *Guard) open(kind, text string) (time.Time, string, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return time.Time{}, "", errors.New("not sealed")
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	until := time.UnixMilli(ms)
	if err != nil || !hmac.Equal([]byte(text), []byte(g.seal(kind, until, parts[1]))) {
		return time.Time{}, "", errors.New("not sealed here")
	}
	return until, parts[1], nil
}

func (g *Guard) issueNonce() string {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return g.seal("nonce", time.Now().Add(nonceLife), hex.EncodeToString(random))
}

func (g *Guard) useNonce(nonce string, now time.Time) bool {
	until, _, err := g.open("nonce", nonce)
	if err != nil || now.After(until) {
		return false
	}
	g.lock.Lock()
	defer g.lock.Unlock()
	if len(g.used) >= noncesMax {
		for used, end := range g.used {
			if now.After(end) {
				delete(g.used, used)
			}
		}
	}
	if _, again := g.used[nonce]; again || len(g.used) >= noncesMax {
		return false
	}
	g.used[nonce] = until
	return true
}

// hubKeys returns the hub's decision keys, by the bytes of their id; read over TLS, or better: pin them.
func (g *Guard) hubKeys() (map[string]ed25519.PublicKey, error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if time.Since(g.keysRead) < keysLife {
		return g.keys, nil
	}
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(g.api + "/keys")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var published struct {
		Keys []struct {
			Purpose   string
			KeyID     string `json:"key_id"`
			PublicKey string `json:"public_key"`
		}
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, answerMax)).Decode(&published); err != nil {
		return nil, err
	}
	keys := map[string]ed25519.PublicKey{}
	for _, key := range published.Keys {
		id, err1 := hex.DecodeString(key.KeyID)
		public, err2 := hex.DecodeString(key.PublicKey)
		if key.Purpose == "decision" && err1 == nil && err2 == nil && len(public) == ed25519.PublicKeySize {
			keys[string(id)] = public
		}
	}
	g.keys, g.keysRead = keys, time.Now()
	return keys, nil
}

func refuse(w http.ResponseWriter, err error) {
	refused, ok := err.(*refusal)
	if !ok {
		refused = &refusal{500, "internal", "the guard failed"}
	}
	if refused.status == 503 {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(refused.status)
	json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": refused.title, "status": refused.status, "detail": refused.detail,
	})
}
