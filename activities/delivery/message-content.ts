import type { OutgoingMessage } from '../../channels/connector';
import { type Compose, createComposer, type FixedHeader, type PersonalPart, structure } from '../../channels/mime';
import { type FrozenMessage, findMessage } from '../../db/content';
import type { DueRow } from '../../db/delivery/read-ahead';
import { invitationUrl, optInUrl } from '../../domain/consent';
import {
  addRecipient,
  type ContentSandbox,
  campaignConstants,
  type RecipientLayers,
  type RenderContext,
  type RenderedMessage,
  recipientName,
  renderForRecipient,
} from '../../domain/content';
import { gateUrl } from '../../domain/gates';
import type { PermittedSender } from '../../domain/senders';
import { sealMessageToken } from '../../domain/tracking';
import { one, sql } from '../../platform/postgres';
import type { ActivityDependencies } from '../dependencies';
import type { Candidate } from './candidate';
import type { MessageSigner } from './signer';

/** Contents kept in memory; a campaign is one. */
const MOST_CONTENTS = 200;

/** A frozen message with everything that is the same for all its recipients. */
export interface LoadedContent {
  message: FrozenMessage;
  constants: RenderContext;
  header: FixedHeader;
  compose: Compose;
  messageDomain: string;
  /** Bulk mail carries List-Unsubscribe and an unsubscribe link; campaign tests show them too. */
  unsubscribe: boolean;
}

/** What the route says about the form of the message. */
export interface MessageForm {
  lane: string;
  /** Whether the server is known to take 8-bit bodies. */
  eightBitMime: boolean;
  /** Signs what Sally signs itself; null when the relay does. */
  signer: MessageSigner | null;
}

/** Renders and composes messages from frozen contents, which never change, so they are kept. */
export class MessageContents {
  private readonly loaded = new Map<string, LoadedContent>();
  private readonly linkBase: string;

  constructor(
    private readonly deps: ActivityDependencies,
    private readonly sandbox: ContentSandbox,
  ) {
    const url = new URL(deps.config.PUBLIC_URL);
    if (deps.config.EMAIL_TRACKING_DOMAIN) url.host = deps.config.EMAIL_TRACKING_DOMAIN;
    this.linkBase = url.toString().replace(/\/$/, '');
  }

  /** The content of a message; loaded once. */
  async load(workspaceId: string, messageId: string, from?: PermittedSender | null): Promise<LoadedContent> {
    const key = from ? `${messageId} ${JSON.stringify([from.email, from.name, from.reply_to])}` : messageId;
    const known = this.loaded.get(key);
    if (known) return known;
    const [message, workspace] = await Promise.all([
      findMessage(this.deps.db, workspaceId, messageId),
      one<{ slug: string; message_domain: string }>(
        this.deps.db,
        sql`SELECT slug, message_domain FROM workspaces WHERE id = ${workspaceId}`,
      ),
    ]);
    if (!message || !workspace) throw new Error('a delivery refers to a message that does not exist');
    if (from) Object.assign(message, sentFrom(from));
    const bulk = message.origin !== 'TEMPLATE';
    const header: FixedHeader = {
      from: { name: message.fromName, address: message.fromEmail },
      replyTo: message.replyTo ? { name: '', address: message.replyTo } : null,
      listId: bulk ? `${workspace.slug}.${workspace.message_domain}` : null,
      feedbackId: bulk
        ? `${message.campaignId ?? (message.origin === 'STEP' ? 'sequence' : 'test')}:${workspaceId}:bulk:sally`
        : null,
      autoSubmitted: !bulk,
      extra: {},
    };
    const content: LoadedContent = {
      message,
      header,
      constants: campaignConstants({ templateDefaults: message.templateDefaults, campaign: message.templateContext }),
      compose: createComposer(header),
      messageDomain: workspace.message_domain,
      unsubscribe: bulk,
    };
    if (this.loaded.size >= MOST_CONTENTS) {
      const [oldest] = this.loaded.keys();
      if (oldest) this.loaded.delete(oldest);
    }
    this.loaded.set(key, content);
    return content;
  }

  /** Renders and composes one row. A failure belongs to the row: the claim fails it. */
  async prepare(due: DueRow, content: LoadedContent, form: MessageForm): Promise<Candidate> {
    const address = due.email ?? due.address ?? '';
    const name =
      (due.contact_id ? recipientName({ firstName: due.first_name, lastName: due.last_name }) : due.recipient_name) ??
      '';
    const { campaignId } = content.message;
    const known = { due, address, recipientName: name, campaignId, renderBegun: Date.now() };
    try {
      const message = await this.compose(due, content, form, address, name);
      return { ...known, message, failure: null, renderEnded: Date.now() };
    } catch (error) {
      this.deps.log.warn(
        { err: error, deliveryId: due.id, messageId: due.message_id },
        'a message could not be rendered',
      );
      return { ...known, message: null, failure: 'RENDERING_FAILED', renderEnded: Date.now() };
    }
  }

  private async compose(
    due: DueRow,
    content: LoadedContent,
    form: MessageForm,
    address: string,
    name: string,
  ): Promise<OutgoingMessage> {
    const reference = { sourceId: due.source_id, deliveryId: due.id, messageId: due.message_id };
    const unsubscribeToken = content.unsubscribe
      ? sealMessageToken(this.deps.keyring, 'message-unsubscribe', reference)
      : null;
    const unsubscribeUrl = unsubscribeToken === null ? null : `${this.linkBase}/u/${unsubscribeToken}`;
    const tracking = content.message.tracking
      ? sealMessageToken(this.deps.keyring, 'message-tracking', reference)
      : null;
    const rendered = await this.render(content, {
      contact: due.contact_id
        ? {
            email: address,
            firstName: due.first_name,
            lastName: due.last_name,
            locale: due.locale,
            timeZone: due.time_zone,
            tags: due.tags ?? [],
            fields: due.fields ?? {},
          }
        : { email: address, firstName: due.recipient_name },
      delivery: due.context,
      system: {
        unsubscribe_url: unsubscribeUrl ?? undefined,
        // The preference centre opens with the unsubscribe token: one more seal would cost 10 µs a message.
        preferences_url: unsubscribeToken === null ? undefined : `${this.linkBase}/preferences/${unsubscribeToken}`,
        confirm_url: this.confirmUrl(due),
        invitation_url: this.invitationUrl(due),
        gate_url: this.gateUrl(due),
        _click_base: tracking ? `${this.linkBase}/t/c/${tracking}.` : undefined,
        _open_url: tracking ? `${this.linkBase}/t/p/${tracking}.gif` : undefined,
      },
    });
    const correlation = messageIdOf(due.source_id, due.id);
    const personal: PersonalPart = {
      to: { name, address },
      subject: rendered.subject,
      text: rendered.text,
      html: rendered.html,
      messageId: `${correlation}@${content.messageDomain}`,
      date: new Date(),
      thread: due.thread ?? [],
      unsubscribeUrl,
      encoding: form.eightBitMime && form.signer === null ? '8bit' : '7bit',
    };
    const composed = content.compose(personal);
    return {
      deliveryId: due.id,
      correlation,
      lane: form.lane,
      envelopeFrom: content.message.fromEmail,
      envelopeTo: address,
      content: form.signer ? await form.signer(composed.content) : composed.content,
      eightBit: composed.eightBit,
      smtpUtf8: composed.smtpUtf8,
      structured: () => structure(content.header, personal),
    };
  }

  /** The link of an opt-in mail: made here, so that no link that confirms is ever stored. */
  private confirmUrl(due: DueRow): string | undefined {
    if (due.source_type !== 'OPT_IN' || due.expires_at === null) return undefined;
    const request = { workspaceId: due.workspace_id, requestId: due.source_id };
    return optInUrl(this.deps.keyring, this.deps.config.PUBLIC_URL, request, due.expires_at);
  }

  /**
   * The link of an invitation, made here for the same reason. The source of such a row is the invitation; what an API
   * request calls "invitation" gets a link to none.
   */
  private invitationUrl(due: DueRow): string | undefined {
    if (due.source_type !== 'TRANSACTIONAL' || due.context?.invitation !== true || due.expires_at === null)
      return undefined;
    const invitation = { workspaceId: due.workspace_id, id: due.source_id };
    return invitationUrl(this.deps.keyring, this.deps.config.PUBLIC_URL, invitation, due.expires_at);
  }

  /** The link of a content gate, made here for the same reason. The source of such a row is the grant. */
  private gateUrl(due: DueRow): string | undefined {
    if (due.source_type !== 'TRANSACTIONAL' || due.context?.gate !== true || due.expires_at === null) return undefined;
    const grant = { workspaceId: due.workspace_id, grantId: due.source_id };
    return gateUrl(this.deps.keyring, this.deps.config.PUBLIC_URL, grant, due.expires_at);
  }

  /** In this thread when the engine can bound it, else in a thread with limits. */
  private async render(content: LoadedContent, recipient: RecipientLayers): Promise<RenderedMessage> {
    const { compiled } = content.message;
    if (compiled.execution === 'in-process') return renderForRecipient(compiled, content.constants, recipient);
    const result = await this.sandbox.render(compiled, addRecipient(content.constants, recipient));
    if (!result.ok) throw new Error(result.error.message);
    return result.value;
  }
}

/** The message as it leaves a mailbox or another of its permitted senders; that its approval covers them was seen to. */
function sentFrom(from: PermittedSender): Pick<FrozenMessage, 'fromEmail' | 'fromName' | 'replyTo'> {
  return { fromEmail: from.email, fromName: from.name, replyTo: from.reply_to };
}

/** Left part of the Message-ID: both ids, so that a bounce finds its row in its partition. Constant over attempts. */
export function messageIdOf(sourceId: string, deliveryId: string): string {
  return `${sourceId.replaceAll('-', '')}.${deliveryId.replaceAll('-', '')}`;
}
