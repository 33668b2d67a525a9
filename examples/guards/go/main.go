// An HTTP API that lets Qubic wallets in, with the standard library alone.
//
//	HUB_URL=ws://127.0.0.1:8080/v1 REALTIME_API_KEY=rtk_... go run .
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
)

func main() {
	hub, err := url.Parse(setting("HUB_URL", "ws://127.0.0.1:8080/v1"))
	if err != nil {
		log.Fatal(err)
	}
	scheme := "http"
	if hub.Scheme == "wss" {
		scheme = "https"
	}
	api := scheme + "://" + hub.Host + "/api/v1"
	feed := NewTrustFeed(api, os.Getenv("REALTIME_API_KEY"))
	go feed.Follow()

	inner := http.NewServeMux()
	inner.HandleFunc("/account", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"wallet": WalletOf(r)})
	})
	guard := NewGuard(api, feed, "shop.example", 30, inner)
	listener, err := net.Listen("tcp", "127.0.0.1:"+setting("PORT", "3001"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("serving on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, guard))
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
