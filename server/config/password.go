package config

import (
	"fmt"
	"time"
)

// PasswordPolicy is the option passwordPolicy.
type PasswordPolicy struct {
	ValidatorPattern   string
	ValidationError    string
	DoNotAllowUsername bool
	MaxPasswordAge     time.Duration // 0: for ever
	MaxPasswordHistory int
	ResetTokenLife     time.Duration // 0: for ever
	ResetTokenReuse    bool
	// HideUnknown: a reset of a password of nobody seems to succeed.
	HideUnknown bool
}

// PasswordPolicy reads passwordPolicy.
func (c *Config) PasswordPolicy() (PasswordPolicy, error) {
	out := PasswordPolicy{HideUnknown: true}
	m, err := object(c.PasswordPolicyOptions)
	if err != nil {
		return out, fmt.Errorf("passwordPolicy must be an object.")
	}
	flags := map[string]struct {
		into *bool
		text string
	}{
		"doNotAllowUsername":                 {&out.DoNotAllowUsername, "passwordPolicy.doNotAllowUsername must be a boolean value."},
		"resetTokenReuseIfValid":             {&out.ResetTokenReuse, "resetTokenReuseIfValid must be a boolean value"},
		"resetPasswordSuccessOnInvalidEmail": {&out.HideUnknown, "resetPasswordSuccessOnInvalidEmail must be a boolean value"},
	}
	const positive = "passwordPolicy.%s must be a positive number"
	for _, name := range sorted(m) {
		v := m[name]
		if v == nil {
			continue
		}
		if f, ok := flags[name]; ok {
			if *f.into, ok = v.(bool); !ok {
				return out, fmt.Errorf("%s", f.text)
			}
			continue
		}
		n, isNumber := v.(float64)
		s, isString := v.(string)
		switch name {
		case "maxPasswordAge":
			if !isNumber || n < 0 {
				return out, fmt.Errorf(positive, name)
			}
			out.MaxPasswordAge = seconds(n * 24 * 60 * 60)
		case "resetTokenValidityDuration":
			if !isNumber || n <= 0 {
				return out, fmt.Errorf(positive, name)
			}
			out.ResetTokenLife = seconds(n)
		case "maxPasswordHistory":
			if !isNumber || n != float64(int(n)) || n < 0 || n > 20 {
				return out, fmt.Errorf("passwordPolicy.maxPasswordHistory must be an integer ranging 0 - 20")
			}
			out.MaxPasswordHistory = int(n)
		case "validatorPattern":
			if !isString {
				return out, fmt.Errorf("passwordPolicy.validatorPattern must be a regex string or RegExp object.")
			}
			out.ValidatorPattern = s
		case "validatorCallback":
			return out, fmt.Errorf("passwordPolicy.validatorCallback must be a function.")
		case "validationError":
			if !isString {
				return out, fmt.Errorf("passwordPolicy.validationError must be a string.")
			}
			out.ValidationError = s
		default:
			return out, fmt.Errorf("passwordPolicy contains unknown property '%s'.", name)
		}
	}
	if out.ResetTokenReuse && out.ResetTokenLife == 0 {
		return out, fmt.Errorf("You cannot use resetTokenReuseIfValid without resetTokenValidityDuration")
	}
	return out, nil
}

// AccountLockout is the option accountLockout; a Threshold of 0 is none.
type AccountLockout struct {
	Duration              time.Duration
	Threshold             int
	UnlockOnPasswordReset bool
}

// AccountLockout reads accountLockout.
func (c *Config) AccountLockout() (AccountLockout, error) {
	var out AccountLockout
	if len(c.AccountLockoutOptions) == 0 || string(c.AccountLockoutOptions) == "null" {
		return out, nil
	}
	var o struct {
		Duration, Threshold   any
		UnlockOnPasswordReset any
	}
	if err := strict(c.AccountLockoutOptions, &o); err != nil {
		return out, fmt.Errorf("accountLockout is not valid: %w", err)
	}
	minutes, ok := o.Duration.(float64)
	if !ok || minutes <= 0 || minutes > 99999 {
		return out, fmt.Errorf("Account lockout duration should be greater than 0 and less than 100000")
	}
	threshold, ok := o.Threshold.(float64)
	if !ok || threshold != float64(int(threshold)) || threshold < 1 || threshold > 999 {
		return out, fmt.Errorf("Account lockout threshold should be an integer greater than 0 and less than 1000")
	}
	if o.UnlockOnPasswordReset != nil {
		if out.UnlockOnPasswordReset, ok = o.UnlockOnPasswordReset.(bool); !ok {
			return out, fmt.Errorf("Parse Server option accountLockout.unlockOnPasswordReset must be a boolean.")
		}
	}
	out.Duration, out.Threshold = seconds(minutes*60), int(threshold)
	return out, nil
}

// checkPasswords reports what is wrong with the options on passwords.
func (c *Config) checkPasswords(p *Problems) {
	if _, err := c.PasswordPolicy(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.AccountLockout(); err != nil {
		p.addf("%s", err)
	}
	if _, err := c.LoginThrottle(); err != nil {
		p.addf("%s", err)
	}
}
