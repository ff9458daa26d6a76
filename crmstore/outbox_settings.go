package crmstore

import (
	"context"
	"fmt"
	"strconv"
)

// MailSettings are the account's settings that mail leaves with; zero fields were not set. The password is not among
// them: it is kept nowhere.
type MailSettings struct {
	Host string
	Port int
	TLS  string
	User string
	From string
}

// MailSettings reads the account's settings smtp_host, smtp_port, smtp_tls, smtp_user and smtp_from. Only a super admin,
// and the program itself.
func (s *Store) MailSettings(ctx context.Context) (MailSettings, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return MailSettings{}, err
	}
	return s.mailSettings(ctx)
}

func (s *Store) mailSettings(ctx context.Context) (m MailSettings, err error) {
	values, err := s.db.Redis.HMGet(ctx, s.keySettings(), SettingMailHost, SettingMailPort, SettingMailTLS, SettingMailUser, SettingMailFrom).Result()
	if err != nil {
		return m, fmt.Errorf("read mail settings: %w", s.db.Explain(err))
	}
	port := ""
	for i, to := range []*string{&m.Host, &port, &m.TLS, &m.User, &m.From} {
		*to, _ = values[i].(string)
	}
	if port == "" {
		return m, nil
	}
	if m.Port, err = strconv.Atoi(port); err != nil {
		return m, fmt.Errorf("mail setting smtp_port %q: want a number", port)
	}
	return m, nil
}
