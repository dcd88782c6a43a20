import type { ServerResponse } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";
import { COMPLETION_TOKENS_HEADER, choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";
import type { AnswerHead, ChoiceEnding, Piece, WholeChoice } from "./answer-head.ts";
import type { Measurement } from "./choice-measurements.ts";
import type { ChoicesEnding } from "./choices.ts";
import { holdAnswer } from "./held-answer.ts";
import { contentFiltered } from "./moderate.ts";
import { OpenAiStream, openAiCompletion } from "./openai-dialect.ts";
import { finishedResponse, ResponsesStream } from "./responses-dialect.ts";
import { UiMessageStream } from "./ui-message-dialect.ts";

/** Where an answer goes: piece by piece, or whole at its end. Tokens are counted over all its choices. */
export type AnswerWriter = {
  text(piece: Piece, completionTokens: number): void;
  /** A choice is complete. */
  finish(index: number, reason: ChoiceEnding, completionTokens: number): void;
  /** @param measurements of each choice; `null` where that was not asked for, or the answer did not finish */
  end(ending: ChoicesEnding, measurements: readonly Measurement[] | null): void;
};

/** Writes an answer as the request wants it, and where too toxic ones are blocked not before it was moderated. */
export function answerWriter(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  const writer = request.stream ? streamAnswer(response, head, request) : wholeAnswer(response, head, request);
  return request.moderation?.mode === "block" ? holdAnswer(writer) : writer;
}

function failure(ending: ChoicesEnding & { kind: "failed" }): AttuneError {
  if (ending.error !== undefined) return ending.error;
  return new AttuneError("generation_failed", "The model failed while it was answering. Send the request again.", {
    cause: ending.reason,
  });
}

/** What renders a stream in one dialect: whole server-sent events, in the order they are asked for. */
type AnswerStream = {
  text(piece: Piece, completionTokens: number): string;
  finish(index: number, reason: ChoiceEnding, completionTokens: number): string;
  end(completionTokens: number, measurements: readonly Measurement[] | null): string;
  fail(error: AttuneError, completionTokens: number): string;
};

function openStream(head: AnswerHead, request: GenerateRequest): AnswerStream {
  if (request.dialect === "responses") return new ResponsesStream(head, request);
  if (request.dialect === "ui-message") return new UiMessageStream(head);
  return new OpenAiStream(head, request.include_usage);
}

function streamAnswer(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  const stream = openStream(head, request);
  return {
    text: (piece, completionTokens) => void response.write(stream.text(piece, completionTokens)),
    finish: (index, reason, completionTokens) => void response.write(stream.finish(index, reason, completionTokens)),
    end(ending, measurements) {
      if (ending.kind === "finished") {
        response.write(stream.end(ending.completionTokens, measurements));
      } else if (ending.kind === "failed") response.write(stream.fail(failure(ending), ending.completionTokens));
      response.end();
    },
  };
}

function wholeBody(
  head: AnswerHead,
  request: GenerateRequest,
  choices: readonly WholeChoice[],
  completionTokens: number,
  measurements: readonly Measurement[] | null,
): object {
  const [only] = choices;
  return request.dialect === "responses" && only !== undefined
    ? finishedResponse(head, request, only, completionTokens, measurements)
    : openAiCompletion(head, choices, completionTokens, measurements);
}

function wholeAnswer(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  const logprobs = request.sampling.logprobs !== null;
  const choices = choicesOf(request).map((): WholeChoice => {
    return { content: "", reason: "stop", logprobs: logprobs ? [] : null };
  });
  const send = (status: number, body: unknown, completionTokens: number) => {
    response.setHeader(COMPLETION_TOKENS_HEADER, completionTokens);
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
  };
  return {
    text({ index, text, logprobs: entries }) {
      const choice = choices[index];
      if (choice === undefined) return;
      choice.content += text;
      if (entries !== null) choice.logprobs?.push(...entries);
    },
    finish(index, reason) {
      const choice = choices[index];
      if (choice !== undefined) choice.reason = reason;
    },
    end(ending, measurements) {
      if (response.destroyed) return;
      if (ending.kind === "finished") {
        const { completionTokens } = ending;
        if (request.moderation !== undefined && choices.every(({ reason }) => reason === "content_filter")) {
          const error = contentFiltered(request.moderation);
          return send(error.status, error.toBody(), completionTokens);
        }
        send(200, wholeBody(head, request, choices, completionTokens, measurements), completionTokens);
        return;
      }
      const error =
        ending.kind === "failed"
          ? failure(ending)
          : new AttuneError("generation_failed", "The generation was cancelled.");
      send(error.status, error.toBody(), ending.completionTokens);
    },
  };
}
