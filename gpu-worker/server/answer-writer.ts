import type { ServerResponse } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";
import { COMPLETION_TOKENS_HEADER, choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";
import type { FinishReason } from "../engine/answer.ts";
import type { ChoicesEnding } from "./choices.ts";
import { type AnswerHead, OpenAiStream, openAiCompletion, type Piece, type WholeChoice } from "./openai-dialect.ts";

/** Where an answer goes: piece by piece, or whole at its end. Tokens are counted over all its choices. */
type AnswerWriter = {
  text(piece: Piece, completionTokens: number): void;
  /** A choice is complete. */
  finish(index: number, reason: FinishReason, completionTokens: number): void;
  end(ending: ChoicesEnding): void;
};

/** Writes an answer as the request wants it. */
export function answerWriter(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  return request.stream ? streamAnswer(response, head, request) : wholeAnswer(response, head, request);
}

function failure(ending: ChoicesEnding & { kind: "failed" }): AttuneError {
  if (ending.error !== undefined) return ending.error;
  return new AttuneError("generation_failed", "The model failed while it was answering. Send the request again.", {
    cause: ending.reason,
  });
}

function streamAnswer(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  const stream = new OpenAiStream(head, request.include_usage);
  return {
    text: (piece, completionTokens) => void response.write(stream.text(piece, completionTokens)),
    finish: (index, reason, completionTokens) => void response.write(stream.finish(index, reason, completionTokens)),
    end(ending) {
      if (ending.kind === "finished") response.write(stream.end(ending.completionTokens));
      else if (ending.kind === "failed") response.write(stream.fail(failure(ending), ending.completionTokens));
      response.end();
    },
  };
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
    end(ending) {
      if (response.destroyed) return;
      if (ending.kind === "finished") {
        const { completionTokens } = ending;
        send(200, openAiCompletion(head, choices, completionTokens), completionTokens);
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
