/** What a frame's SSE id says: `generation:sequence:completion tokens so far`. */
export type FrameId = { generation: string; sequence: number; completionTokens: number };

function formatFrameId(id: FrameId): string {
  return `${id.generation}:${id.sequence}:${id.completionTokens}`;
}

const FRAME_ID = /^(gen_[0-9A-Za-z]+):(\d{1,15}):(\d{1,15})$/;

/** Reads a frame id, or `null` where the text is none. */
export function parseFrameId(text: string): FrameId | null {
  const match = FRAME_ID.exec(text);
  if (match === null) return null;
  const [, generation = "", sequence, completionTokens] = match;
  return { generation, sequence: Number(sequence), completionTokens: Number(completionTokens) };
}

/** The line that ends every complete stream of the dialects `openai` and `ui-message`. */
export const DONE_LINE = "data: [DONE]";

/** The events of which one ends every complete stream of the dialect `responses`. */
export const RESPONSE_ENDINGS = ["response.completed", "response.incomplete", "response.failed"] as const;

/** One server-sent event whose data is JSON; JSON.stringify never emits a line break. */
export function formatFrame(data: unknown, id?: FrameId, event?: string): string {
  const idLine = id === undefined ? "" : `id: ${formatFrameId(id)}\n`;
  const eventLine = event === undefined ? "" : `event: ${event}\n`;
  return `${idLine}${eventLine}data: ${JSON.stringify(data)}\n\n`;
}
