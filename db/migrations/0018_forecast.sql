-- Forecasts deal routes out as claims will: by the mailbox provider that a hosted domain's MX records name.
GRANT SELECT ON mx_lookups TO sally_api;
