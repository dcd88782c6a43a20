/** Something that streams chat completions. */
export type ChatTarget = AsyncDisposable & {
  version: string;
  detail: string;
  send: (content: string, maxTokens: number, signal: AbortSignal) => Promise<Response>;
  peakMiB: () => number | null;
};

/** Longest that one answer may take, in milliseconds. */
const PATIENCE = 240_000;

/** One streamed answer as its client saw it; times in milliseconds. */
type Answer = { firstToken: number; gaps: number[]; promptTokens: number; completionTokens: number };

/** What one run of closed-loop clients measured. */
export type LoadSample = {
  /** Generated tokens a second, of all clients together. */
  tokensPerSecond: number;
  promptTokens: number;
  completionTokens: number;
  firstTokens: number[];
  gaps: number[];
};

/** So many clients at once, each sending its next request when its last was answered, until every content was asked for once. */
export async function closedLoop(
  target: ChatTarget,
  contents: readonly string[],
  clients: number,
  maxTokens: number,
): Promise<LoadSample> {
  const queue = [...contents];
  const answers: Answer[] = [];
  const client = async () => {
    for (let content = queue.shift(); content !== undefined; content = queue.shift()) {
      answers.push(await ask(target, content, maxTokens));
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: clients }, client));
  const seconds = (performance.now() - began) / 1000;
  const total = (count: (answer: Answer) => number) => answers.reduce((sum, answer) => sum + count(answer), 0);
  const completionTokens = total((answer) => answer.completionTokens);
  return {
    tokensPerSecond: completionTokens / seconds,
    promptTokens: total((answer) => answer.promptTokens),
    completionTokens,
    firstTokens: answers.map((answer) => answer.firstToken),
    gaps: answers.flatMap((answer) => answer.gaps),
  };
}

type Chunk = {
  choices: { delta?: { content?: string | null } }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  error?: unknown;
};

async function ask(target: ChatTarget, content: string, maxTokens: number): Promise<Answer> {
  const began = performance.now();
  const send = () => target.send(content, maxTokens, AbortSignal.timeout(PATIENCE));
  // A server may close a connection that was idle just as it is used again; then it has not seen the request.
  const response = await send().catch(send);
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const times: number[] = [];
  let usage: Chunk["usage"] = null;
  for await (const chunk of chunks(response.body)) {
    if (chunk.error !== undefined) throw new Error(`the stream failed: ${JSON.stringify(chunk.error)}`);
    if (chunk.choices.some(({ delta }) => (delta?.content ?? "") !== "")) times.push(performance.now());
    usage = chunk.usage ?? usage;
  }
  const [first] = times;
  if (first === undefined || !usage) throw new Error("a stream ended without text or usage");
  return {
    firstToken: first - began,
    gaps: times.slice(1).map((time, index) => time - (times[index] ?? Number.NaN)),
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
  };
}

async function* chunks(body: NonNullable<Response["body"]>): AsyncGenerator<Chunk> {
  let rest = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length));
    }
  }
}
