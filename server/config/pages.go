package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Pages is the option pages.
type Pages struct {
	Endpoint               string
	Path                   string // of a folder with pages; "": those of the program alone
	EnableLocalization     bool
	LocalizationJSONPath   string
	FallbackLocale         string
	Placeholders           map[string]any
	ForceRedirect          bool
	EncodePageParamHeaders bool
	// CustomURLs are the URLs of pages elsewhere, by the id of the page.
	CustomURLs map[string]string
}

// PageIDs are the pages that pages.customUrls may name.
var PageIDs = []string{
	"passwordReset", "passwordResetSuccess", "passwordResetLinkInvalid", "emailVerificationSuccess",
	"emailVerificationSendFail", "emailVerificationSendSuccess", "emailVerificationLinkInvalid", "emailVerificationLinkExpired",
}

var endpointFormat = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Pages reads the option pages.
func (c *Config) Pages() (Pages, error) {
	out := Pages{Endpoint: "apps", FallbackLocale: "en"}
	m, err := object(c.PagesOptions)
	if err != nil {
		return out, fmt.Errorf("Parse Server option pages must be an object.")
	}
	texts := map[string]*string{
		"pagesEndpoint": &out.Endpoint, "pagesPath": &out.Path,
		"localizationJsonPath": &out.LocalizationJSONPath, "localizationFallbackLocale": &out.FallbackLocale,
	}
	flags := map[string]*bool{
		"enableLocalization": &out.EnableLocalization, "forceRedirect": &out.ForceRedirect,
		"encodePageParamHeaders": &out.EncodePageParamHeaders, "enableRouter": new(bool),
	}
	for _, name := range sorted(m) {
		v := m[name]
		if v == nil {
			continue
		}
		if into, ok := texts[name]; ok {
			if *into, ok = v.(string); !ok {
				return out, fmt.Errorf("Parse Server option pages.%s must be a string.", name)
			}
			continue
		}
		if into, ok := flags[name]; ok {
			if *into, ok = v.(bool); !ok {
				return out, fmt.Errorf("Parse Server option pages.%s must be a boolean.", name)
			}
			continue
		}
		switch name {
		case "placeholders":
			var ok bool
			if out.Placeholders, ok = v.(map[string]any); !ok {
				return out, fmt.Errorf("Parse Server option pages.placeholders must be an object or a function.")
			}
		case "customUrls":
			if err := out.customURLs(v); err != nil {
				return out, err
			}
		case "customRoutes":
			list, ok := v.([]any)
			if !ok {
				return out, fmt.Errorf("Parse Server option pages.customRoutes must be an array.")
			}
			if len(list) > 0 {
				return out, fmt.Errorf("Parse Server option pages.customRoutes has handlers, which are code: give them to server.New.")
			}
		default:
			return out, fmt.Errorf("Parse Server option pages contains unknown property '%s'.", name)
		}
	}
	if !endpointFormat.MatchString(out.Endpoint) {
		return out, fmt.Errorf("Parse Server option pages.pagesEndpoint must be one segment of a path, not %q.", out.Endpoint)
	}
	return out, nil
}

func (p *Pages) customURLs(v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("Parse Server option pages.customUrls must be an object.")
	}
	p.CustomURLs = map[string]string{}
	for _, id := range sorted(m) {
		u, ok := m[id].(string)
		switch {
		case m[id] == nil || ok && u == "":
		case !slices.Contains(PageIDs, id):
			return fmt.Errorf("Parse Server option pages.customUrls contains unknown property '%s'.", id)
		case !ok || !absoluteURL(u):
			return fmt.Errorf("Parse Server option pages.customUrls.%s must be a URL starting with http:// or https://.", id)
		default:
			p.CustomURLs[id] = u
		}
	}
	return nil
}

// legacyPages are the keys of customPages, with the pages that they stand for.
var legacyPages = map[string]string{
	"choosePassword": "passwordReset", "passwordResetSuccess": "passwordResetSuccess",
	"invalidPasswordResetLink": "passwordResetLinkInvalid", "invalidLink": "",
	"verifyEmailSuccess": "emailVerificationSuccess", "linkSendFail": "emailVerificationSendFail",
	"linkSendSuccess": "emailVerificationSendSuccess", "invalidVerificationLink": "emailVerificationLinkInvalid",
	"expiredVerificationLink": "emailVerificationLinkExpired", "parseFrameURL": "",
}

// FrameURL reads customPages.parseFrameURL, the one key of customPages that
// Parse Server still regards; "" without.
func (c *Config) FrameURL() (string, error) {
	var m map[string]string
	if len(c.CustomPages) == 0 {
		return "", nil
	}
	if err := json.Unmarshal(c.CustomPages, &m); err != nil {
		return "", fmt.Errorf("The option customPages must be an object of URLs.")
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if _, ok := legacyPages[key]; !ok {
			return "", fmt.Errorf("The option customPages contains unknown property '%s'.", key)
		}
	}
	if u := m["parseFrameURL"]; u != "" {
		if !absoluteURL(u) {
			return "", fmt.Errorf("The option customPages.parseFrameURL must be a URL starting with http:// or https://.")
		}
		return u, nil
	}
	return "", nil
}

// checkPages reports what is wrong with the options on pages, and warns of
// keys of customPages that have no effect any more.
func (c *Config) checkPages(p *Problems) {
	if _, err := c.Pages(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.FrameURL(); err != nil {
		p.addf("%s", err)
	}
}

// legacyWarnings tells of options without effect, and names the successors of keys of customPages.
func (c *Config) legacyWarnings() (out []string) {
	if (c.PreventLoginWithUnverifiedEmail || c.PreventSignupWithUnverifiedEmail) && !c.VerifyUserEmails {
		out = append(out, "options preventLoginWithUnverifiedEmail and preventSignupWithUnverifiedEmail have no effect without verifyUserEmails")
	}
	var m map[string]string
	if len(c.CustomPages) == 0 || json.Unmarshal(c.CustomPages, &m) != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if now := legacyPages[key]; now != "" && m[key] != "" {
			out = append(out, fmt.Sprintf("option customPages.%s has no effect, as in Parse Server since version 9: use pages.customUrls.%s", key, now))
		}
	}
	return out
}
