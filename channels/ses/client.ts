import { GetAccountCommand, SESv2Client, SESv2ServiceException, SendEmailCommand } from '@aws-sdk/client-sesv2';
import type { ExchangeHandler } from './handler';

/** What the SDK's part in sending is: serialising, signatures (SigV4), reading of answers. */
export type SesClient = ReturnType<typeof createSesClient>;

/** The SDK's client for one account and region. */
export function createSesClient(
  handler: ExchangeHandler,
  options: { region: string; endpoint: string | null; accessKeyId: string; secretAccessKey: string },
) {
  const { region, endpoint, accessKeyId, secretAccessKey } = options;
  const client = new SESv2Client({
    region,
    ...(endpoint !== null && { endpoint }),
    credentials: { accessKeyId, secretAccessKey },
    // A repeated request is a message sent twice.
    maxAttempts: 1,
    requestHandler: handler,
  });
  return {
    /** Returns SES's id of the message. Throws what the SDK throws. */
    async send(mail: { from: string; to: string; content: Buffer; tag: string; configurationSet: string | null }) {
      const answer = await client.send(
        new SendEmailCommand({
          ...(mail.from !== '' && { FromEmailAddress: mail.from }),
          Destination: { ToAddresses: [mail.to] },
          Content: { Raw: { Data: mail.content } },
          EmailTags: [{ Name: 'sally', Value: mail.tag }],
          ...(mail.configurationSet !== null && { ConfigurationSetName: mail.configurationSet }),
        }),
      );
      return answer.MessageId ?? null;
    },
    async account() {
      const { SendingEnabled, ProductionAccessEnabled } = await client.send(new GetAccountCommand({}));
      return { sendingEnabled: SendingEnabled, production: ProductionAccessEnabled === true };
    },
    /** An error that the API answered, by its name; null for any other. */
    problemOf(error: unknown): { name: string; message: string } | null {
      return error instanceof SESv2ServiceException ? { name: error.name, message: error.message } : null;
    },
  };
}
