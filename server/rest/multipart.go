package rest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/pargo-baas/pargo/parse"
)

// isMultipart reports whether the body is a form in parts for a function. Its
// credentials are in the headers: what is in the body are parameters.
func (c *call) isMultipart() bool {
	r := c.req
	if r.Method != http.MethodPost || !strings.HasPrefix(c.route(), "/functions/") {
		return false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	// A boundary that is missing or misspelt is for readMultipart to tell.
	return kind == "multipart/form-data" || err != nil && strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/form-data")
}

// errTooLarge is the refusal of a form that is longer than maxUploadSize.
func errTooLarge() error {
	return parse.Errorf(parse.ObjectTooLarge, "Multipart request exceeds maximum upload size.")
}

// badMultipart says what is wrong with a form.
func badMultipart(err error) error {
	var tooLarge *http.MaxBytesError
	text := err.Error()
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge()
	case errors.Is(err, http.ErrMissingBoundary), errors.Is(err, http.ErrNotMultipart):
		text = "Multipart: Boundary not found"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "Unexpected end of multipart data"
	}
	return parse.Errorf(parse.InvalidJSON, "Invalid multipart request: %s", text)
}

// readMultipart reads the parameters of a function from a form in parts
// (reference 06 §10): texts are strings, files objects with filename,
// contentType and data. Of parts with the same name the last counts.
func (c *call) readMultipart() (*parse.Map, error) {
	r := c.req
	if r.ContentLength > c.h.o.MaxBody {
		return nil, errTooLarge()
	}
	r.Body = http.MaxBytesReader(c.ResponseWriter, r.Body, c.h.o.MaxBody)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, badMultipart(err)
	}
	m := &parse.Map{}
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // one that is wrapped is an end in the wrong place
			return m, nil
		}
		if err != nil {
			return nil, badMultipart(err)
		}
		if n >= parse.DefaultLimits.Keys {
			return nil, badMultipart(errors.New("too many parts"))
		}
		name := part.FormName()
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, badMultipart(err)
		}
		if name != "" {
			m.Set(name, partValue(part, data))
		}
	}
}

// partValue is a parameter as a function gets it.
func partValue(part *multipart.Part, data []byte) parse.Value {
	kind := part.Header.Get("Content-Type")
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	_, file := params["filename"]
	if err != nil || !file && kind != octetStream {
		return strings.ToValidUTF8(string(data), "\uFFFD")
	}
	if kind == "" {
		kind = octetStream
	}
	return parse.NewMap(
		parse.MapField{Key: "filename", Value: part.FileName()},
		parse.MapField{Key: "contentType", Value: kind},
		parse.MapField{Key: "data", Value: parse.Bytes(data)},
	)
}

const octetStream = "application/octet-stream"
