import type { Connector } from '../../channels/connector';
import { type HttpOptions, httpOptions } from '../../channels/http';
import { createMailgunConnector } from '../../channels/mailgun';
import { createPostmarkConnector } from '../../channels/postmark';
import { createSendgridConnector } from '../../channels/sendgrid';
import { createSesConnector } from '../../channels/ses';
import type { HttpReply, ReceivedRequest } from './scripted-http-server';

/** What a provider is made to say, in its own words. */
export type Said =
  | 'accepted'
  | 'throttled'
  | 'throttled-for-7-seconds'
  | 'broken'
  | 'overloaded'
  | 'bad-credentials'
  | 'bad-address'
  | 'bad-sender'
  | 'too-big';

export interface RigOptions {
  endpoint: string;
  sandbox?: boolean;
  http?: Partial<HttpOptions>;
}

/** What arrived at a provider, in words that all of them share. */
export interface Arrived {
  to: string;
  correlation: string;
  /** The message as it arrived where the API takes MIME. */
  mime: Buffer | null;
  parts: {
    from: string;
    to: string;
    subject: string;
    text: string;
    html: string;
    headers: Record<string, string>;
    attachments: { name: string; type: string; content: Buffer }[];
  } | null;
  sandbox: boolean;
}

export interface Rig {
  name: string;
  connect(options: RigOptions): Connector;
  /** The same as a provider of a workspace: body of its creation without a name. */
  provider(endpoint: string): { provider_type: string; settings: object; credentials: Record<string, string> };
  /** The answer of the provider's API to one sending request. `id` is the provider's own id of the message. */
  says(said: Said, request: ReceivedRequest, id?: string): HttpReply;
  /** The answer to the request of a check. */
  checks(good: boolean): HttpReply;
  arrived(request: ReceivedRequest): Arrived[];
  /** Whether it has a sandbox mode of its own. */
  sandbox: boolean;
}

const API_KEY = 'key-that-must-not-show';
const http = (options: RigOptions) =>
  httpOptions({
    pauseMs: 30,
    ...options.http,
    timeouts: { connectMs: 20_000, answerMs: 20_000, ...options.http?.timeouts },
  });
const RETRY = { 'Retry-After': '7' };

const ses: Rig = {
  name: 'SES',
  sandbox: false,
  provider: (endpoint) => ({
    provider_type: 'SES',
    settings: { region: 'eu-central-1', endpoint, configuration_set: 'bulk' },
    credentials: { access_key_id: 'AKIAEXAMPLE', secret_access_key: API_KEY },
  }),
  connect: (options) =>
    createSesConnector({
      region: 'eu-central-1',
      endpoint: options.endpoint,
      accessKeyId: 'AKIAEXAMPLE',
      secretAccessKey: API_KEY,
      configurationSet: 'bulk',
      http: http(options),
    }),
  says: (said, _request, id = '0102018e-1') => {
    const error = (status: number, name: string, message: string, headers = {}): HttpReply => ({
      status,
      headers: { 'x-amzn-ErrorType': name, ...headers },
      json: { message },
    });
    switch (said) {
      case 'accepted':
        return { status: 200, json: { MessageId: id } };
      case 'throttled':
        return error(429, 'TooManyRequestsException', 'Maximum sending rate exceeded.');
      case 'throttled-for-7-seconds':
        return error(429, 'TooManyRequestsException', 'Maximum sending rate exceeded.', RETRY);
      case 'broken':
        return error(500, 'InternalFailure', 'Something failed.');
      case 'overloaded':
        return error(503, 'ServiceUnavailable', 'Come again.', RETRY);
      case 'bad-credentials':
        return error(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.');
      case 'bad-address':
        return error(400, 'BadRequestException', 'Local address contains control or whitespace');
      case 'bad-sender':
        return error(400, 'MessageRejected', 'Email address is not verified. The following identities failed: x');
      case 'too-big':
        return error(400, 'BadRequestException', 'Message length is more than 41943040 bytes long: 50000000.');
    }
  },
  checks: (good) =>
    good
      ? { status: 200, json: { SendingEnabled: true, ProductionAccessEnabled: true } }
      : ses.says('bad-credentials', NO_REQUEST),
  arrived: (request) => {
    const body = json(request);
    expect(request.path).toBe('/v2/email/outbound-emails');
    expect(request.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE\/\d{8}\/eu-central-1\/ses\//,
    );
    expect(body.ConfigurationSetName).toBe('bulk');
    const [tag] = body.EmailTags;
    expect(tag.Name).toBe('sally');
    expect(tag.Value).toMatch(/^[A-Za-z0-9_-]{1,256}$/);
    return [
      {
        to: body.Destination.ToAddresses[0],
        correlation: tag.Value.replace('_', '.'),
        mime: Buffer.from(body.Content.Raw.Data, 'base64'),
        parts: null,
        sandbox: false,
      },
    ];
  },
};

const sendgrid: Rig = {
  name: 'SendGrid',
  sandbox: true,
  provider: (endpoint) => ({
    provider_type: 'SENDGRID',
    settings: { endpoint, ip_pool: 'bulk' },
    credentials: { api_key: API_KEY },
  }),
  connect: (options) =>
    createSendgridConnector({
      endpoint: options.endpoint,
      apiKey: API_KEY,
      sandbox: options.sandbox ?? false,
      tracking: false,
      ipPool: 'bulk',
      http: http(options),
    }),
  says: (said, _request, id = 'filter-1') => {
    const error = (status: number, message: string, field: string | null, headers = {}): HttpReply => ({
      status,
      headers,
      json: { errors: [{ message, field, help: null }] },
    });
    switch (said) {
      case 'accepted':
        return { status: 202, headers: { 'X-Message-Id': id } };
      case 'throttled':
        return error(429, 'too many requests', null);
      case 'throttled-for-7-seconds':
        return error(429, 'too many requests', null, RETRY);
      case 'broken':
        return { status: 500, text: '<html>Internal Server Error</html>' };
      case 'overloaded':
        return { status: 503, headers: RETRY, text: 'Service Unavailable' };
      case 'bad-credentials':
        return error(401, 'The provided authorization grant is invalid, expired, or revoked', null);
      case 'bad-address':
        return error(400, 'Does not contain a valid address.', 'personalizations.0.to.0.email');
      case 'bad-sender':
        return error(403, 'The from address does not match a verified Sender Identity.', 'from');
      case 'too-big':
        return error(413, 'The JSON payload you have included in your request is too large.', null);
    }
  },
  checks: (good) =>
    good ? { status: 200, json: { scopes: ['mail.send'] } } : sendgrid.says('bad-credentials', NO_REQUEST),
  arrived: (request) => {
    const body = json(request);
    expect(request.path).toBe('/v3/mail/send');
    expect(request.headers.authorization).toBe(`Bearer ${API_KEY}`);
    expect(body.ip_pool_name).toBe('bulk');
    expect(body.tracking_settings.open_tracking.enable).toBe(false);
    expect(body.content.map((part: { type: string }) => part.type)).toEqual(['text/plain', 'text/html']);
    const [{ to, custom_args }] = body.personalizations;
    return [
      {
        to: to[0].email,
        correlation: custom_args.sally,
        mime: null,
        parts: {
          from: `${body.from.name} <${body.from.email}>`,
          to: `${to[0].name} <${to[0].email}>`,
          subject: body.subject,
          text: body.content[0].value,
          html: body.content[1].value,
          headers: body.headers,
          attachments: (body.attachments ?? []).map((each: Record<string, string>) => ({
            name: each.filename,
            type: each.type,
            content: Buffer.from(each.content ?? '', 'base64'),
          })),
        },
        sandbox: body.mail_settings.sandbox_mode.enable,
      },
    ];
  },
};

const mailgun: Rig = {
  name: 'Mailgun',
  sandbox: true,
  provider: (endpoint) => ({
    provider_type: 'MAILGUN',
    settings: { endpoint, domain: 'mg.acme.example', ip_pool: 'pool-1' },
    credentials: { api_key: API_KEY },
  }),
  connect: (options) =>
    createMailgunConnector({
      endpoint: options.endpoint,
      domain: 'mg.acme.example',
      apiKey: API_KEY,
      sandbox: options.sandbox ?? false,
      tracking: false,
      ipPool: 'pool-1',
      http: http(options),
    }),
  says: (said, _request, id = '<mg-1@mg.acme.example>') => {
    const error = (status: number, message: string, headers = {}): HttpReply => ({
      status,
      headers,
      json: { message },
    });
    switch (said) {
      case 'accepted':
        return { status: 200, json: { id, message: 'Queued. Thank you.' } };
      case 'throttled':
        return error(429, 'Too Many Requests');
      case 'throttled-for-7-seconds':
        return error(429, 'Too Many Requests', RETRY);
      case 'broken':
        return { status: 502, text: '<html>Bad Gateway</html>' };
      case 'overloaded':
        return error(503, 'Service Unavailable', RETRY);
      case 'bad-credentials':
        return { status: 401, text: 'Forbidden' };
      case 'bad-address':
        return error(400, "'to' parameter is not a valid address. please check documentation");
      case 'bad-sender':
        return error(400, "'from' parameter is not a valid address. please check documentation");
      case 'too-big':
        return error(413, 'Request Entity Too Large');
    }
  },
  checks: (good) =>
    good ? { status: 200, json: { domain: { state: 'active' } } } : mailgun.says('bad-credentials', NO_REQUEST),
  arrived: (request) => {
    expect(request.path).toBe('/v3/mg.acme.example/messages.mime');
    expect(request.headers.authorization).toBe(`Basic ${Buffer.from(`api:${API_KEY}`).toString('base64')}`);
    const form = formOf(request);
    expect(form.get('o:tracking')?.toString()).toBe('no');
    expect(form.get('o:sending-ip-pool')?.toString()).toBe('pool-1');
    return [
      {
        to: form.get('to')?.toString() ?? '',
        correlation: form.get('v:sally')?.toString() ?? '',
        mime: form.get('message') ?? null,
        parts: null,
        sandbox: form.get('o:testmode')?.toString() === 'yes',
      },
    ];
  },
};

const postmark: Rig = {
  name: 'Postmark',
  sandbox: true,
  provider: (endpoint) => ({
    provider_type: 'POSTMARK',
    settings: { endpoint, message_stream: 'broadcast' },
    credentials: { server_token: API_KEY },
  }),
  connect: (options) =>
    createPostmarkConnector({
      endpoint: options.endpoint,
      serverToken: API_KEY,
      sandbox: options.sandbox ?? false,
      tracking: false,
      messageStream: 'broadcast',
      http: http(options),
    }),
  says: (said, request, id = 'b7bc2f4a-1') => {
    const items: unknown[] = json(request);
    const each = (ErrorCode: number, Message: string): HttpReply => ({
      status: 200,
      json: items.map(() => ({ ErrorCode, Message })),
    });
    const whole = (status: number, ErrorCode: number, Message: string, headers = {}): HttpReply => ({
      status,
      headers,
      json: { ErrorCode, Message },
    });
    switch (said) {
      case 'accepted':
        return { status: 200, json: items.map(() => ({ ErrorCode: 0, Message: 'OK', MessageID: id })) };
      case 'throttled':
        return whole(429, 429, 'Rate limit exceeded.');
      case 'throttled-for-7-seconds':
        return whole(429, 429, 'Rate limit exceeded.', RETRY);
      case 'broken':
        return { status: 500, text: '' };
      case 'overloaded':
        return whole(503, 100, 'Maintenance', RETRY);
      case 'bad-credentials':
        return whole(401, 10, 'No Account or Server API tokens were supplied in the HTTP headers.');
      case 'bad-address':
        return each(406, 'You tried to send to a recipient that has been marked as inactive.');
      case 'bad-sender':
        return each(400, "The 'From' address you supplied is not a Sender Signature on your account.");
      case 'too-big':
        return whole(413, 0, 'Payload too large');
    }
  },
  checks: (good) =>
    good
      ? { status: 200, json: { ID: 1, Name: 'Acme' } }
      : { status: 401, json: { ErrorCode: 10, Message: 'Bad or missing Server API token.' } },
  arrived: (request) => {
    expect(request.path).toBe('/email/batch');
    const token = request.headers['x-postmark-server-token'];
    expect([API_KEY, 'POSTMARK_API_TEST']).toContain(token);
    return json(request).map((item: PostmarkItem) => {
      expect(item.MessageStream).toBe('broadcast');
      expect(item.TrackOpens).toBe(false);
      const headers = Object.fromEntries(item.Headers.map(({ Name, Value }) => [Name, Value]));
      expect(headers['X-PM-KeepID']).toBe('true');
      delete headers['X-PM-KeepID'];
      return {
        to: /<([^>]+)>$/.exec(item.To)?.[1] ?? item.To,
        correlation: item.Metadata.sally,
        mime: null,
        parts: {
          from: unquoted(item.From),
          to: unquoted(item.To),
          subject: item.Subject,
          text: item.TextBody,
          html: item.HtmlBody,
          headers,
          attachments: (item.Attachments ?? []).map((each) => ({
            name: each.Name,
            type: each.ContentType,
            content: Buffer.from(each.Content, 'base64'),
          })),
        },
        sandbox: token === 'POSTMARK_API_TEST',
      };
    });
  },
};

interface PostmarkItem {
  From: string;
  To: string;
  Subject: string;
  TextBody: string;
  HtmlBody: string;
  Headers: { Name: string; Value: string }[];
  Attachments?: { Name: string; ContentType: string; Content: string }[];
  Metadata: { sally: string };
  MessageStream: string;
  TrackOpens: boolean;
}

/** Every provider that is spoken to by its own API. */
export const API_RIGS: readonly Rig[] = [ses, sendgrid, mailgun, postmark];

const NO_REQUEST: ReceivedRequest = {
  method: 'GET',
  path: '/',
  query: new URLSearchParams(),
  headers: {},
  body: Buffer.from('[]'),
};

function json(request: ReceivedRequest) {
  return JSON.parse(request.body.toString('utf8'));
}

function unquoted(mailbox: string): string {
  const match = /^"((?:[^"\\]|\\.)*)" (<.*>)$/.exec(mailbox);
  return match ? `${match[1]?.replace(/\\(.)/g, '$1')} ${match[2]}` : mailbox;
}

/** A multipart/form-data body (RFC 7578), by field name. */
function formOf(request: ReceivedRequest): Map<string, Buffer> {
  const boundary = /boundary=(\S+)/.exec(request.headers['content-type'] ?? '')?.[1] ?? '';
  const text = request.body.toString('latin1');
  const form = new Map<string, Buffer>();
  for (const part of text.split(`--${boundary}`).slice(1, -1)) {
    const end = part.indexOf('\r\n\r\n');
    const name = /name="([^"]+)"/.exec(part.slice(0, end))?.[1] ?? '';
    form.set(name, Buffer.from(part.slice(end + 4, -2), 'latin1'));
  }
  return form;
}
