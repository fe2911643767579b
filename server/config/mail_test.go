package config_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pargo-baas/pargo/server/config"
)

func TestMailPasswordAndPageOptions(t *testing.T) {
	const smtp = `"emailAdapter":{"module":"smtp","options":{"host":"h","fromAddress":"a@x.y"}},"appName":"A","publicServerURL":"https://x.y/parse"`
	const verify = `"verifyUserEmails":true,` + smtp
	for file, want := range map[string]string{
		`{` + smtp + `}`:   "",
		`{` + verify + `}`: "",
		`{` + verify + `,"emailVerifyTokenValidityDuration":3600,"emailVerifyTokenReuseIfValid":true}`: "",
		`{` + verify + `,"emailVerifyTokenValidityDuration":"3600"}`:                                   "",
		`{"verifyUserEmails":true}`:                                                     "An emailAdapter is required for e-mail verification and password resets.\nAn app name is required for e-mail verification and password resets.\nThe option publicServerURL is required.",
		`{` + verify + `,"publicServerURL":"ftp://x"}`:                                  "The option publicServerURL must be a valid URL starting with http:// or https://.",
		`{"emailVerifyTokenValidityDuration":"soon"}`:                                   "Email verify token validity duration must be a valid number.",
		`{"emailVerifyTokenValidityDuration":{}}`:                                       "Email verify token validity duration must be a valid number.",
		`{"emailVerifyTokenValidityDuration":-1}`:                                       "Email verify token validity duration must be a value greater than 0.",
		`{"emailVerifyTokenReuseIfValid":true}`:                                         "You cannot use emailVerifyTokenReuseIfValid without emailVerifyTokenValidityDuration",
		`{"emailAdapter":"capture"}`:                                                    "cannot be capture outside of development",
		`{"emailAdapter":"mailgun"}`:                                                    `names the module "mailgun"`,
		`{"emailAdapter":{"module":"smtp","option":{}}}`:                                `unknown field "option"`,
		`{"emailAdapter":{"module":"smtp","options":{"locale":1}}}`:                     "emailAdapter.options.locale must be a string",
		`{"emailAdapter":[]}`:                                                           "The option emailAdapter must be",
		`{"development":true,"host":"127.0.0.1"}`:                                       "",
		`{"development":true,"host":"::1","verifyUserEmails":true}`:                     "",
		`{"development":true}`:                                                          `set host to 127.0.0.1, not "0.0.0.0"`,
		`{"development":true,"host":"app.example.com"}`:                                 "shows all mails",
		`{"accountLockout":{"duration":5,"threshold":3}}`:                               "",
		`{"accountLockout":{"duration":99999,"threshold":999}}`:                         "",
		`{"accountLockout":{}}`:                                                         "Account lockout duration should be greater than 0 and less than 100000",
		`{"accountLockout":{"duration":0,"threshold":3}}`:                               "Account lockout duration should be",
		`{"accountLockout":{"duration":100000,"threshold":3}}`:                          "Account lockout duration should be",
		`{"accountLockout":{"duration":"5","threshold":3}}`:                             "Account lockout duration should be",
		`{"accountLockout":{"duration":5}}`:                                             "Account lockout threshold should be an integer greater than 0 and less than 1000",
		`{"accountLockout":{"duration":5,"threshold":0}}`:                               "Account lockout threshold should be",
		`{"accountLockout":{"duration":5,"threshold":1.5}}`:                             "Account lockout threshold should be",
		`{"accountLockout":{"duration":5,"threshold":1000}}`:                            "Account lockout threshold should be",
		`{"accountLockout":{"duration":5,"threshold":3,"unlockOnPasswordReset":"yes"}}`: "Parse Server option accountLockout.unlockOnPasswordReset must be a boolean.",
		`{"accountLockout":{"duration":5,"threshold":3,"limit":1}}`:                     `unknown field "limit"`,
		`{"passwordPolicy":{}}`:                                                         "",
		`{"passwordPolicy":{"validatorPattern":"^(?=.*\\d).{8,}$","validationError":"x","doNotAllowUsername":true,"maxPasswordAge":90,"maxPasswordHistory":5,"resetTokenValidityDuration":60,"resetTokenReuseIfValid":true,"resetPasswordSuccessOnInvalidEmail":false}}`: "",
		`{"loginThrottle":false}`: "",
		`{"connectionLimits":{"headerTimeout":1,"bodyTimeout":0,"idleTimeout":5,"bytesPerSecond":0,"headers":1,"headerBytes":1,"connections":7,"bodyMemory":"1mb","answerMemory":"2gb"}}`: "",
		`{"connectionLimits":{"bodyMemory":1000}}`:   "",
		`{"connectionLimits":[]}`:                    "connectionLimits must be an object.",
		`{"connectionLimits":{"headers":1.5}}`:       "connectionLimits.headers must be a whole number that is not negative; 0 is no limit.",
		`{"connectionLimits":{"headerTimeout":-1}}`:  "connectionLimits.headerTimeout must be a number of milliseconds, at most a day; 0 is no limit.",
		`{"connectionLimits":{"bodyMemory":"much"}}`: "connectionLimits.bodyMemory must be a size such as 256mb, not much.",
		`{"connectionLimits":{"answerMemory":"-1"}}`: "connectionLimits.answerMemory must be a size such as 256mb, not -1.",
		`{"connectionLimits":{"header":1}}`:          "connectionLimits contains unknown property 'header'.",
		`{"loginThrottle":{"window":60,"failures":0,"networkFailures":5,"accountFailures":5,"siegeFailures":1,"mails":1,"networkMails":1,"redisUrl":"redis://h"}}`: "",
		`{"loginThrottle":"no"}`:                                                                           "loginThrottle must be a boolean or an object.",
		`{"loginThrottle":{"failures":-1}}`:                                                                "loginThrottle.failures must be a whole number from 0, which is no limit, to 1000000.",
		`{"loginThrottle":{"window":0}}`:                                                                   "loginThrottle.window must be a number of seconds from 1 to 86400.",
		`{"loginThrottle":{"siegeFailures":0}}`:                                                            "loginThrottle.siegeFailures must be at least 1: nobody is locked out of his account by others.",
		`{"loginThrottle":{"redisUrl":"http://a:b"}}`:                                                      "loginThrottle.redisUrl must have a URL that begins with redis:// or rediss://.",
		`{"loginThrottle":{"failure":1}}`:                                                                  "loginThrottle contains unknown property 'failure'.",
		`{"passwordPolicy":[]}`:                                                                            "passwordPolicy must be an object.",
		`{"passwordPolicy":{"maxPasswordAge":"90"}}`:                                                       "passwordPolicy.maxPasswordAge must be a positive number",
		`{"passwordPolicy":{"maxPasswordAge":-1}}`:                                                         "passwordPolicy.maxPasswordAge must be a positive number",
		`{"passwordPolicy":{"resetTokenValidityDuration":0}}`:                                              "passwordPolicy.resetTokenValidityDuration must be a positive number",
		`{"passwordPolicy":{"validatorPattern":1}}`:                                                        "passwordPolicy.validatorPattern must be a regex string or RegExp object.",
		`{"passwordPolicy":{"validatorCallback":"f"}}`:                                                     "passwordPolicy.validatorCallback must be a function.",
		`{"passwordPolicy":{"validationError":1}}`:                                                         "passwordPolicy.validationError must be a string.",
		`{"passwordPolicy":{"doNotAllowUsername":"yes"}}`:                                                  "passwordPolicy.doNotAllowUsername must be a boolean value.",
		`{"passwordPolicy":{"maxPasswordHistory":21}}`:                                                     "passwordPolicy.maxPasswordHistory must be an integer ranging 0 - 20",
		`{"passwordPolicy":{"maxPasswordHistory":1.5}}`:                                                    "passwordPolicy.maxPasswordHistory must be",
		`{"passwordPolicy":{"resetTokenReuseIfValid":1}}`:                                                  "resetTokenReuseIfValid must be a boolean value",
		`{"passwordPolicy":{"resetTokenReuseIfValid":true}}`:                                               "You cannot use resetTokenReuseIfValid without resetTokenValidityDuration",
		`{"passwordPolicy":{"resetPasswordSuccessOnInvalidEmail":1}}`:                                      "resetPasswordSuccessOnInvalidEmail must be a boolean value",
		`{"passwordPolicy":{"maxAge":1}}`:                                                                  "passwordPolicy contains unknown property 'maxAge'.",
		`{"pages":{"enableRouter":true,"customRoutes":[],"customUrls":{"passwordReset":"https://x.y/r"}}}`: "",
		`{"pages":[]}`:                                                     "Parse Server option pages must be an object.",
		`{"pages":{"enableLocalization":"yes"}}`:                           "Parse Server option pages.enableLocalization must be a boolean.",
		`{"pages":{"pagesPath":1}}`:                                        "Parse Server option pages.pagesPath must be a string.",
		`{"pages":{"pagesEndpoint":"a/b"}}`:                                "pages.pagesEndpoint must be one segment",
		`{"pages":{"placeholders":"x"}}`:                                   "Parse Server option pages.placeholders must be an object or a function.",
		`{"pages":{"customUrls":[]}}`:                                      "Parse Server option pages.customUrls must be an object.",
		`{"pages":{"customUrls":{"passwordReset":"javascript:alert(1)"}}}`: "pages.customUrls.passwordReset must be a URL",
		`{"pages":{"customUrls":{"other":"https://x.y"}}}`:                 "unknown property 'other'",
		`{"pages":{"customRoutes":{}}}`:                                    "Parse Server option pages.customRoutes must be an array.",
		`{"pages":{"customRoutes":[{"method":"GET"}]}}`:                    "give them to server.New",
		`{"pages":{"colour":"red"}}`:                                       "Parse Server option pages contains unknown property 'colour'.",
		`{"customPages":{"parseFrameURL":"https://x.y/f"}}`:                "",
		`{"customPages":{"parseFrameURL":"/f"}}`:                           "customPages.parseFrameURL must be a URL",
		`{"customPages":{"colour":"https://x.y/f"}}`:                       "customPages contains unknown property 'colour'.",
		`{"customPages":"https://x.y/f"}`:                                  "customPages must be an object",
	} {
		_, err := config.Load([]string{write(t, "c.json", file)}, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n  got  %v\n  want %s", file, err, want)
		}
	}
}

func TestMailOptionsAreRead(t *testing.T) {
	c, err := config.Load(nil, []string{
		`PARSE_SERVER_EMAIL_ADAPTER={"module":"smtp","options":{"host":"h","locale":"de","localeField":"lang","templatesPath":"/t"}}`,
		`PARSE_SERVER_PASSWORD_POLICY={"maxPasswordAge":2,"resetTokenValidityDuration":1.5}`,
		`PARSE_SERVER_ACCOUNT_LOCKOUT={"duration":5,"threshold":3,"unlockOnPasswordReset":true}`,
		"PARSE_SERVER_EMAIL_VERIFY_TOKEN_VALIDITY_DURATION=60",
		`PARSE_SERVER_PAGES={"pagesEndpoint":"p","enableLocalization":true,"placeholders":{"a":1}}`,
		`PARSE_SERVER_CUSTOM_PAGES={"parseFrameURL":"https://x.y/f","linkSendFail":"https://x.y/g"}`,
		"PARSE_SERVER_PREVENT_LOGIN_WITH_UNVERIFIED_EMAIL=true",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 2 || !strings.Contains(c.Warnings[0]+c.Warnings[1], "customPages.linkSendFail has no effect") || !strings.Contains(c.Warnings[0]+c.Warnings[1], "without verifyUserEmails") {
		t.Errorf("warnings: %v", c.Warnings)
	}
	adapter, err := c.MailAdapter()
	same(t, err, config.MailAdapter{Module: "smtp", TemplatesPath: "/t", Locale: "de", LocaleField: "lang", Options: json.RawMessage(`{"host":"h"}`)}, adapter)
	policy, err := c.PasswordPolicy()
	same(t, err, config.PasswordPolicy{MaxPasswordAge: 48 * time.Hour, ResetTokenLife: 1500 * time.Millisecond, HideUnknown: true}, policy)
	lock, err := c.AccountLockout()
	same(t, err, config.AccountLockout{Duration: 5 * time.Minute, Threshold: 3, UnlockOnPasswordReset: true}, lock)
	life, err := c.EmailVerifyTokenLife()
	same(t, err, time.Minute, life)
	pages, err := c.Pages()
	same(t, err, config.Pages{Endpoint: "p", EnableLocalization: true, FallbackLocale: "en", Placeholders: map[string]any{"a": 1.0}}, pages)
	frame, err := c.FrameURL()
	same(t, err, "https://x.y/f", frame)
	none := config.Default()
	adapter, err = none.MailAdapter()
	same(t, err, config.MailAdapter{Locale: "en", LocaleField: "locale"}, adapter)
	none.Development = true
	adapter, err = none.MailAdapter()
	same(t, err, config.MailAdapter{Module: config.CaptureModule, Locale: "en", LocaleField: "locale"}, adapter)
}

func same[T any](t *testing.T, err error, want, got T) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
