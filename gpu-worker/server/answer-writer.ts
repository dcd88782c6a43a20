import type { ServerResponse } from "node:http";
import { AttuneError } from "../../schema/wire/errors.ts";
import { COMPLETION_TOKENS_HEADER, type GenerateRequest } from "../../schema/wire/generate.ts";
import type { Ending } from "../engine/inference-engine.ts";
import { type AnswerHead, OpenAiStream, openAiCompletion } from "./openai-dialect.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";

/** Where an answer goes: piece by piece, or whole at its end. */
type AnswerWriter = {
  /** @param logprobs of the tokens that `piece` is from; `null` where they were not asked for. */
  text(piece: string, completionTokens: number, logprobs: ContentLogprob[] | null): void;
  end(ending: Ending): void;
};

/** Writes an answer as the request wants it. */
export function answerWriter(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  return request.stream ? streamAnswer(response, head, request) : wholeAnswer(response, head, request);
}

function failure(ending: Ending & { kind: "failed" }): AttuneError {
  if (ending.error !== undefined) return ending.error;
  return new AttuneError("generation_failed", "The model failed while it was answering. Send the request again.", {
    cause: ending.reason,
  });
}

function streamAnswer(response: ServerResponse, head: AnswerHead, request: GenerateRequest): AnswerWriter {
  const stream = new OpenAiStream(head, request.include_usage);
  return {
    text: (piece, completionTokens, logprobs) => void response.write(stream.text(piece, completionTokens, logprobs)),
    end(ending) {
      if (ending.kind === "finished") response.write(stream.finish(ending.reason, ending.completionTokens));
      else if (ending.kind === "failed") response.write(stream.fail(failure(ending), ending.completionTokens));
      response.end();
    },
  };
}

function wholeAnswer(response: ServerResponse, head: AnswerHead, { sampling }: GenerateRequest): AnswerWriter {
  let content = "";
  const logprobs: ContentLogprob[] | null = sampling.logprobs === null ? null : [];
  const send = (status: number, body: unknown, completionTokens: number) => {
    response.setHeader(COMPLETION_TOKENS_HEADER, completionTokens);
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
  };
  return {
    text: (piece, _, entries) => {
      content += piece;
      if (entries !== null) logprobs?.push(...entries);
    },
    end(ending) {
      if (response.destroyed) return;
      if (ending.kind === "finished") {
        const { reason, completionTokens } = ending;
        send(200, openAiCompletion(head, { content, reason, completionTokens, logprobs }), completionTokens);
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
