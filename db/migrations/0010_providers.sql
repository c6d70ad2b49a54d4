-- Providers of all types of spec 003. What their settings hold is checked by the types of domain/senders.
ALTER TABLE providers DROP CONSTRAINT providers_provider_type_check;
ALTER TABLE providers ADD CONSTRAINT providers_provider_type_check
  CHECK (provider_type IN ('SMTP', 'SES', 'SENDGRID', 'MAILGUN', 'POSTMARK'));
