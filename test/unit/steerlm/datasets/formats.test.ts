import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Conversation } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { formatOf } from "../../../../gpu-worker/steerlm/datasets/formats.ts";
import { toNemo } from "../../../../gpu-worker/steerlm/datasets/nemo.ts";
import { toTrl } from "../../../../gpu-worker/steerlm/datasets/trl.ts";
import { levelsOf } from "../../../../gpu-worker/steerlm/rounding.ts";
import { ATTRIBUTES } from "../../../../schema/attributes.ts";
import { conversationsOf, lines, outcomesOf } from "./read-file.ts";

const question = (text: string, id?: string) => ({ role: "user", text, ...(id === undefined ? {} : { id }) });
const answer = (text: string, more = {}) => ({ role: "assistant", text, ...more });

/** What a row becomes, but for names made up for it. */
async function turnsOf(row: object): Promise<object[][]> {
  const conversations = await conversationsOf(lines(row));
  return conversations.map(({ turns }) => turns.map(({ id: _, ...turn }) => turn));
}

const pandaLm = (annotator1: number, annotator2: number, annotator3: number) => {
  const judgements = { annotator1, annotator2, annotator3 };
  return { idx: 0, instruction: "Hi", input: "", response1: "A", response2: "B", ...judgements };
};

describe("HelpSteer", () => {
  test("labels the answer with its attributes", async () => {
    const row = {
      prompt: "Hi",
      response: "Hello",
      helpfulness: 3,
      correctness: 4,
      coherence: 4,
      complexity: 1,
      verbosity: 0,
    };
    const { prompt: _, response: __, ...labels } = row;
    expect(await turnsOf(row)).toEqual([[question("Hi"), answer("Hello", { labels })]]);
  });

  test("finds earlier turns in a prompt", async () => {
    const prompt = "One?\n<extra_id_1>Assistant\nFirst.\n<extra_id_1>User\nTwo?";
    expect(await turnsOf({ prompt, response: "Second.", helpfulness: 2 })).toEqual([
      [question("One?"), answer("First."), question("Two?"), answer("Second.", { labels: { helpfulness: 2 } })],
    ]);
  });

  test.each([
    [-2, [0, 1], 2],
    [3, [1, 0], 3],
    [0, [0, 0], 0],
  ])("reads a preference of %i", async (preference_strength, ranks, strength) => {
    const row = { prompt: "Hi", response_1: "A", response_2: "B", preference_strength };
    const conversations = await conversationsOf(lines(row));
    expect(conversations.map(({ turns }) => turns.at(-1)?.rank)).toEqual(ranks);
    expect(conversations.map((one) => one.strength)).toEqual([strength, strength]);
    expect(new Set(conversations.map(({ pair }) => pair)).size).toBe(1);
  });
});

describe("hh-rlhf", () => {
  const shared = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tell me\nmore";

  test("becomes two conversations that share their turns", async () => {
    const row = { chosen: `${shared}\n\nAssistant: Gladly.`, rejected: `${shared}\n\nAssistant: No.` };
    const [chosen, rejected] = await conversationsOf(lines(row));
    expect(chosen?.turns.map(({ text }) => text)).toEqual(["Hi", "Hello.", "Tell me\nmore", "Gladly."]);
    expect(rejected?.turns.at(-1)).toEqual(answer("No.", { rank: 1 }));
    expect(chosen?.turns.at(-1)).toEqual(answer("Gladly.", { rank: 0 }));
    expect(rejected?.turns.slice(0, -1)).toEqual(chosen?.turns.slice(0, -1));
    expect(rejected?.pair).toBe(chosen?.pair);
  });

  test("joins turns of one speaker, and keeps each side's own where they differ", async () => {
    const row = {
      chosen: "\n\nHuman: Hi\n\nHuman: There?\n\nAssistant: Yes.",
      rejected: "\n\nHuman: Ho\n\nAssistant: What?",
    };
    expect(await turnsOf(row)).toEqual([
      [question("Hi\n\nThere?"), answer("Yes.", { rank: 0 })],
      [question("Ho"), answer("What?", { rank: 1 })],
    ]);
  });

  test("is left out where an answer is empty, and bad where it is no transcript", async () => {
    expect(
      await outcomesOf(lines({ chosen: `${shared}\n\nAssistant: `, rejected: `${shared}\n\nAssistant: No.` })),
    ).toEqual([{ kind: "left out", reason: "empty turn", count: 2 }]);
    const [bad] = await outcomesOf(lines({ chosen: "Hello", rejected: `${shared}\n\nAssistant: No.` }));
    expect(bad).toMatchObject({ kind: "bad row", line: 1 });
    const [unanswered] = await outcomesOf(lines({ chosen: shared, rejected: shared }));
    expect(unanswered).toMatchObject({ kind: "bad row", reason: "a transcript must end with an answer" });
  });
});

describe("other sets", () => {
  test.each([
    ["GPTeacher", { instruction: "Add.", input: "", response: "Done." }, [[question("Add."), answer("Done.")]]],
    ["Alpaca", { instruction: "Add.", input: "1 2", output: "3" }, [[question("Add.\n\n1 2"), answer("3")]]],
    [
      "Self-Instruct",
      {
        id: "seed_task_0",
        instruction: "Add.",
        instances: [
          { input: "1 2", output: "3" },
          { input: "", output: "0" },
        ],
      },
      [
        [question("Add.\n\n1 2"), answer("3")],
        [question("Add."), answer("0")],
      ],
    ],
    [
      "LLMBar",
      { input: "Hi", output_1: "A", output_2: "B", label: 2 },
      [
        [question("Hi"), answer("A", { rank: 1 })],
        [question("Hi"), answer("B", { rank: 0 })],
      ],
    ],
    [
      "PandaLM, two of three",
      pandaLm(1, 0, 1),
      [
        [question("Hi"), answer("A", { rank: 0 })],
        [question("Hi"), answer("B", { rank: 1 })],
      ],
    ],
    [
      "PandaLM, three ways",
      pandaLm(1, 0, 2),
      [
        [question("Hi"), answer("A", { rank: 0 })],
        [question("Hi"), answer("B", { rank: 0 })],
      ],
    ],
    [
      "MT-Bench",
      { question_id: 81, category: "writing", turns: ["Write.", "Again."] },
      [[question("Write."), question("Again.")]],
    ],
    ["a guessed pair", { prompt: "Hi", response: "Hello", root_like: false }, [[question("Hi"), answer("Hello")]]],
  ])("%s", async (_, row, turns) => {
    expect(await turnsOf(row)).toEqual(turns);
  });

  test("guessed pairs may be limited to the surer ones", async () => {
    const pairs = lines(
      { prompt: "a", response: "b", root_like: true },
      { prompt: "c", response: "d", root_like: false },
    );
    expect((await outcomesOf(pairs, { rootLike: true })).map(({ kind }) => kind)).toEqual(["conversation", "left out"]);
  });

  test("Davidson's toxicity is the annotators' mean of hate 4, offensive 2 and neither 0", async () => {
    const csv =
      ",count,hate_speech,offensive_language,neither,class,tweet\n7,3,1,1,1,1,a b\n8,3,0,0,3,2,c d\n9,3,0,0,0,2,nobody\n";
    const outcomes = await outcomesOf(csv);
    expect(
      outcomes.map((outcome) =>
        outcome.kind === "conversation" ? outcome.conversation.turns[0]?.labels : outcome.kind,
      ),
    ).toEqual([{ toxicity: 2 }, { toxicity: 0 }, "bad row"]);
  });
});

describe("NeMo", () => {
  const row = {
    conversations: [
      { from: "User", value: "Hi", label: null },
      { from: "Assistant", value: "Hello", label: "quality:4,violence:0,toxicity:0,lang:en" },
    ],
    system: "Be brief.",
    mask: "User",
    type: "VALUE_TO_TEXT",
  };

  test("labels are read, keys that are no attributes passed over", async () => {
    const [read] = await conversationsOf(lines(row));
    expect(read).toMatchObject({
      system: "Be brief.",
      turns: [question("Hi"), answer("Hello", { labels: { quality: 4, toxicity: 0 } })],
    });
  });

  test.each(["quality:9", "quality", "quality:4;toxicity:1", "quality:2.5"])(
    "a label of %s is a bad row",
    async (label) => {
      const [bad] = await outcomesOf(lines({ ...row, conversations: [{ from: "Assistant", value: "Hello", label }] }));
      expect(bad).toMatchObject({ kind: "bad row", reason: expect.stringMatching(/^label: /) });
    },
  );

  test("is written as its chat dataset reads it, attributes in order, half levels to the even one", () => {
    const conversation: Conversation = {
      id: "a",
      source: "oasst",
      tree: "t",
      turns: [
        { role: "user", text: "Hi" },
        { role: "assistant", text: "Hello", labels: { verbosity: 1, quality: 2.5, toxicity: 0.5 } },
        { role: "user", text: "Bye" },
        { role: "assistant", text: "Bye" },
      ],
    };
    expect(JSON.stringify(toNemo(conversation))).toBe(
      JSON.stringify({
        conversations: [
          { from: "User", value: "Hi", label: null },
          { from: "Assistant", value: "Hello", label: "quality:2,toxicity:0,verbosity:1" },
          { from: "User", value: "Bye", label: null },
          { from: "Assistant", value: "Bye", label: null },
        ],
        system:
          "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
        mask: "User",
        type: "VALUE_TO_TEXT",
        tree_id: "t",
      }),
    );
  });
});

describe("TRL", () => {
  test.each([
    [
      {
        messages: [
          { role: "system", content: "S" },
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Hello" },
        ],
      },
    ],
    [
      {
        prompt: [
          { role: "system", content: "S" },
          { role: "user", content: "Hi" },
        ],
        completion: [{ role: "assistant", content: "Hello" }],
      },
    ],
  ])("reads %j", async (row) => {
    expect(await conversationsOf(lines(row))).toMatchObject([
      { system: "S", turns: [question("Hi"), answer("Hello")] },
    ]);
  });

  test("reads preferences, with the prompt apart or in both sides, of messages or of text", async () => {
    const user = { role: "user", content: "Hi" };
    const says = (content: string) => ({ role: "assistant", content });
    const turns = [
      [question("Hi"), answer("A", { rank: 0 })],
      [question("Hi"), answer("B", { rank: 1 })],
    ];
    expect(await turnsOf({ prompt: [user], chosen: [says("A")], rejected: [says("B")] })).toEqual(turns);
    expect(await turnsOf({ chosen: [user, says("A")], rejected: [user, says("B")] })).toEqual(turns);
    expect(await turnsOf({ prompt: "Hi", chosen: "A", rejected: "B" })).toEqual(turns);
  });

  test("reads levels beside an answer, and a null for one that was left out", async () => {
    const steer = { attributes: { verbosity: 0, humor: null } };
    const row = {
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello", steer },
      ],
    };
    expect(await turnsOf(row)).toEqual([[question("Hi"), answer("Hello", { labels: { verbosity: 0 } })]]);
  });

  test("takes a system message at the beginning only, and no tool's", async () => {
    const late = {
      messages: [
        { role: "user", content: "Hi" },
        { role: "system", content: "S" },
      ],
    };
    const tool = { messages: [{ role: "tool", content: "42" }] };
    for (const row of [late, tool])
      expect((await outcomesOf(lines(row)))[0]).toMatchObject({ kind: "bad row", line: 1 });
  });
});

const anyText = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => text.trim() !== "");
const anyLabels = fc
  .dictionary(fc.constantFrom(...ATTRIBUTES), fc.double({ min: 0, max: 4, noNaN: true }), { minKeys: 1 })
  .map((labels): Conversation["turns"][number]["labels"] => labels);
const anyConversation = fc
  .record(
    {
      exchanges: fc.array(
        fc.record({ text: anyText, reply: anyText, labels: fc.option(anyLabels, { nil: undefined }) }),
        { minLength: 1, maxLength: 4 },
      ),
      system: anyText,
      tree: anyText,
    },
    { requiredKeys: ["exchanges"] },
  )
  .map(
    ({ exchanges, ...rest }): Conversation => ({
      ...rest,
      id: "a",
      source: "s",
      turns: exchanges.flatMap(({ text, reply, labels }): Conversation["turns"] => [
        { role: "user", text },
        { role: "assistant", text: reply, ...(labels === undefined ? {} : { labels }) },
      ]),
    }),
  );

/** What of a conversation other projects' formats hold. */
const withLevels = ({ turns, system, tree }: Conversation) => ({
  ...(system === undefined ? {} : { system }),
  ...(tree === undefined ? {} : { tree }),
  turns: turns.map(({ role, text, labels }) => ({
    role,
    text,
    ...(labels === undefined ? {} : { labels: levelsOf(labels) }),
  })),
});

describe("any conversation", () => {
  test("comes back whole from this project's own format", async () => {
    await fc.assert(
      fc.asyncProperty(anyConversation, async (conversation) => {
        expect(await conversationsOf(lines(conversation))).toEqual([conversation]);
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ["NeMo's", toNemo],
    ["TRL's", toTrl],
  ])("comes back from %s with its labels as levels", async (_, write) => {
    await fc.assert(
      fc.asyncProperty(anyConversation, async (conversation) => {
        const read = await conversationsOf(lines(write(conversation)));
        expect(read.map(withLevels)).toEqual([withLevels(conversation)]);
      }),
      { numRuns: 50 },
    );
  });
});

test("a format may be named where the content would be taken for another", async () => {
  const row = { prompt: "Hi", response: "Hello", helpfulness: 4 };
  expect(formatOf(row)?.name).toBe("helpsteer");
  expect(await conversationsOf(lines(row), { format: "prompt-response" })).toMatchObject([
    { source: "prompt-response", turns: [question("Hi"), answer("Hello")] },
  ]);
});
