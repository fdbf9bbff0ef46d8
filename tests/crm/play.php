<?php

// The PHP client as the tests play it: requests as JSON lines on standard input, what comes of them as JSON lines on
// standard output. The first line is the client's own options.
//
//   {"address": "https://…", "token": "…", "caFile": "…"}  ->  {"ready": true}
//   {"call": "Balances/TopUp", "fields": {…}, "seconds": 5}  ->  {"answer": {…}} or {"error": {…}}
//   {"call": "Balances/TopUp", "fields": {…}, "times": 2}  ->  the answers to one message object, sent twice
//   {"eval": "$crm->call(…)"}  ->  the answer, or a stream's first
//   {"stream": "Billing/WatchActivity", "fields": {…}, "most": 3}  ->  {"answer": {…}} for each, then {"end": true}

declare(strict_types=1);

require __DIR__ . '/../../clients/php/autoload.php';

use Google\Protobuf\Internal\Message;
use Mubss\Crm\Client;
use Mubss\Crm\RpcException;
use Mubss\Crm\V1\Methods;

function tell(array $what): void
{
    fwrite(STDOUT, json_encode($what, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE) . "\n");
    fflush(STDOUT);
}

function tell_answer(Message $answer): void
{
    tell(['answer' => json_decode($answer->serializeToJsonString())]);
}

function play(Client $crm, array $asked): void
{
    if (isset($asked['eval'])) {
        $answer = eval("return {$asked['eval']};");
        tell_answer($answer instanceof Generator ? $answer->current() : $answer);
        return;
    }
    $name = $asked['call'] ?? $asked['stream'];
    $fields = $asked['fields'] ?? [];
    $more = [$asked['seconds'] ?? null, $asked['requestId'] ?? null];
    if (isset($asked['times'])) {
        $message = new (Methods::ALL[$name]['request'])($fields);
        for ($time = 0; $time < $asked['times']; $time++) {
            tell_answer($crm->call($name, $message));
        }
    } elseif (isset($asked['call'])) {
        tell_answer($crm->call($name, $fields, ...$more));
    } else {
        $seen = 0;
        foreach ($crm->stream($name, $fields, ...$more) as $answer) {
            if (($asked['meanwhile'] ?? '') !== '') {
                $crm->call($asked['meanwhile'], $fields);
            }
            tell_answer($answer);
            if (++$seen === ($asked['most'] ?? 0)) {
                break;
            }
        }
        tell(['end' => true]);
    }
}

try {
    $crm = new Client(...json_decode(fgets(STDIN), true, 512, JSON_THROW_ON_ERROR));
    tell(['ready' => true]);
    while (($line = fgets(STDIN)) !== false) {
        try {
            play($crm, json_decode($line, true, 512, JSON_THROW_ON_ERROR));
        } catch (RpcException $error) {
            tell(['error' => [
                'status' => $error->status->name,
                'code' => $error->getCode(),
                'message' => $error->getMessage(),
                'violations' => (object) $error->violations,
                'method' => $error->method,
                'requestId' => $error->requestId,
                'key' => $error->idempotencyKey,
            ]]);
        } catch (InvalidArgumentException $error) {
            tell(['misuse' => $error->getMessage()]);
        }
    }
} catch (InvalidArgumentException $error) {
    tell(['misuse' => $error->getMessage()]);
}
