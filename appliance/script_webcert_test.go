package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"
)

// publicCATool is a program for scripts: publicca CSR CHAIN is the public authority that
// headquarters asks.
func publicCATool() {
	block, _ := pem.Decode(toolRead(os.Args[1]))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	toolCheck(err)
	toolCheck(csr.CheckSignature())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	toolCheck(err)
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Public authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	var out []byte
	for _, c := range []struct {
		c   *x509.Certificate
		key any
	}{{leaf, csr.PublicKey}, {ca, key.Public()}} {
		der, err := x509.CreateCertificate(rand.Reader, c.c, ca, c.key, key)
		toolCheck(err)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	toolCheck(os.WriteFile(os.Args[2], out, 0o600))
}

// certOfTool is a program for scripts: certof URL NAME prints who signed the certificate that
// is served by that name, and what it is for.
func certOfTool() {
	address := strings.TrimPrefix(os.Args[1], "https://")
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: os.Args[2], InsecureSkipVerify: true}) //nolint:gosec // it is what is looked at
	toolCheck(err)
	defer conn.Close()
	c := conn.ConnectionState().PeerCertificates[0]
	fmt.Println(c.Issuer, "|", c.Subject, "|", strings.Join(c.DNSNames, " "))
}
