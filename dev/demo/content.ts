import { z } from 'zod';
import { type SampleTemplate, type SampleTemplateName, sampleTemplate } from '../samples/templates';
import { ApiError } from './api';
import { type Narrator, thousands } from './narrator';
import { COMPANY, type Company } from './people';

const savedTemplate = z.object({ id: z.string(), version: z.number(), warnings: z.array(z.unknown()).optional() });
const message = z.object({ id: z.string(), sha256: z.string(), approval: z.string(), links: z.array(z.string()) });

/** The words that every subject of the demo's campaigns ends with. */
export const CAMPAIGN_SUBJECT = 'your trial ends soon';

/** A sample e-mail as a template; the one of an earlier demo is taken again. */
export async function createTemplate(company: Company, name: SampleTemplateName) {
  const { marketer } = company.as;
  const sample = branded(sampleTemplate(name));
  const path = `${company.path}/email-marketing/templates`;
  const known = await marketer.get(`${path}?slug=${sample.slug}`, z.object({ items: z.array(savedTemplate) }));
  const template =
    known.items[0] ??
    (await marketer.post(path, savedTemplate, {
      name: sample.slug.replaceAll('-', ' '),
      slug: sample.slug,
      category: sample.category,
      subject_template: sample.subject,
      preview_text: sample.previewText,
      body_html: sample.html,
      body_text: sample.text,
      variables: sample.variables,
    }));
  return { id: template.id, slug: sample.slug, subject: sample.subject, bytes: Buffer.byteLength(sample.html) };
}

const BLANKS: Readonly<Record<string, string>> = {
  '[Product Name]': COMPANY.name,
  '[Company Name, LLC]': COMPANY.name,
  '[Sender Name]': 'Max Marketer',
};

/** The sample with the blanks filled in that its makers left for names. */
function branded(sample: SampleTemplate): SampleTemplate {
  const fill = (text: string): string => text.replaceAll(/\[[^\]\n]+\]/g, (blank) => BLANKS[blank] ?? blank);
  return { ...sample, html: fill(sample.html), text: fill(sample.text) };
}

/** Makes a campaign from a real HTML e-mail, submits it as the marketer and approves it as somebody else. */
export async function prepareCampaign(
  narrator: Narrator,
  company: Company,
  round: number,
): Promise<{ campaignId: string; fourEyes: boolean }> {
  const { marketer, approver } = company.as;
  const template = await createTemplate(company, 'trial-expiring');
  narrator.say(
    `Template “${template.slug}”: ${thousands(template.bytes)} bytes of HTML, subject “${template.subject}”`,
  );
  const campaigns = `${company.path}/email-marketing/campaigns`;
  const campaign = await marketer.post(campaigns, z.object({ id: z.string() }), {
    name: `Trials that end soon, no. ${round}`,
    tags: ['demo'],
    template_id: template.id,
    purpose: 'newsletter',
    all_consented: true,
  });
  const submitted = await marketer.post(`${campaigns}/${campaign.id}/submit`, message);
  narrator.say(`Max Marketer submits it: content, audience and sender frozen under ${submitted.sha256.slice(0, 12)}….`);
  const approve = `${company.path}/email-marketing/messages/${submitted.id}/approve`;
  const fourEyes = await isRefused(() => marketer.post(approve, message, {}));
  if (fourEyes) narrator.say('Max Marketer may not approve it himself: refused (403).');
  const approved = await approver.post(approve, message, { comment: 'Looks right.' });
  narrator.say(`Ada Approver: ${approved.approval}.`);
  return { campaignId: campaign.id, fourEyes: fourEyes && approved.approval === 'APPROVED' };
}

async function isRefused(attempt: () => Promise<unknown>): Promise<boolean> {
  try {
    await attempt();
    return false;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return true;
    throw error;
  }
}
