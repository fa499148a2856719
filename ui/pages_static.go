package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
)

//go:embed static/*.css static/*.mjs static/*.svg
var staticFiles embed.FS

// asset is one embedded file, ready to send.
type asset struct {
	url   string // "/static/<hash>/<name>": changes whenever the content does
	hash  string
	mime  string
	plain []byte
	gz    []byte // nil when compressing does not pay
}

// assets are the embedded files by name; never changed after loadAssets.
type assets map[string]*asset

// assetTypes names the types of what is embedded; nothing else can be served.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets reads, hashes and compresses the files once, at start: a few
// milliseconds, and no request pays for it again.
func loadAssets(from fs.FS) (assets, error) {
	out := assets{}
	names, err := fs.Glob(from, "static/*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		a := &asset{hash: hex.EncodeToString(sum[:6]), mime: assetTypes[path.Ext(name)], plain: data}
		a.url = "/static/" + a.hash + "/" + path.Base(name)
		if gz := squeeze(data); len(gz) < len(data)*9/10 {
			a.gz = gz
		}
		out[path.Base(name)] = a
	}
	return out, nil
}

// squeeze compresses as far as gzip goes; it cannot fail on memory.
func squeeze(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// staticFile serves GET /static/:hash/:file. The URL changes with the content, so
// browsers keep a file for a year and never ask again. A page that was open
// during an update may still ask by an old hash: it gets what there is now, and
// is told not to keep it.
func (v *visit) staticFile() error {
	a := v.s.pages.assets[v.c.Params("file")]
	if a == nil {
		return fault.New(fault.NotFound, "fault.ui.no_page")
	}
	v.c.Set(fiber.HeaderContentType, a.mime)
	v.c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	v.c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	if v.c.Params("hash") == a.hash {
		v.c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	} else {
		v.c.Set(fiber.HeaderCacheControl, "no-store")
	}
	if a.gz != nil && takesGzip(v.c.Get(fiber.HeaderAcceptEncoding)) {
		v.c.Set(fiber.HeaderContentEncoding, "gzip")
		return v.c.Send(a.gz)
	}
	return v.c.Send(a.plain)
}

// takesGzip reads an Accept-Encoding header; "gzip;q=0" is a no.
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
		}
	}
	return false
}
