<?php

// A clerk's morning, against a running mubss-crm: a new subscriber, money, a refusal, usage, and a bill run watched.
//
//   MUBSS_TOKEN=… php example.php https://localhost:50051 CA.pem [CYCLE]
//
// The token's role is at least `agent`; with a CYCLE `supervisor`, and `mubss-billing --cycle CYCLE` runs.

declare(strict_types=1);

require __DIR__ . '/autoload.php'; // or Composer's vendor/autoload.php

use Mubss\Crm\Client;
use Mubss\Crm\RpcException;
use Mubss\Crm\Status;
use Mubss\Crm\V1\TopUpRequest;

[, $address, $caFile, $cycle] = $argv + [1 => 'https://localhost:50051', 2 => 'var/tls/ca.pem', 3 => ''];
$crm = new Client($address, fn (): string => (string) getenv('MUBSS_TOKEN'), caFile: $caFile);

/** Millionths as a decimal, without a float. */
function money(int $micros, string $currency): string
{
    $whole = intdiv(abs($micros), 1_000_000);
    return sprintf('%s%d.%02d %s', $micros < 0 ? '-' : '', $whole, intdiv(abs($micros) % 1_000_000, 10_000), $currency);
}

try {
    $subscriber = $crm->call('Subscribers/CreateSubscriber', [
        'msisdn' => '9997' . random_int(10_000_000, 99_999_999),
        'plan' => 'demo-prepaid',
    ]);
    echo "{$subscriber->getMsisdn()} is {$subscriber->getState()}, {$subscriber->getType()}\n";

    // The client makes an idempotency key of the write and puts it into the message: the same message sent again, after
    // a lost answer say, moves nothing twice.
    $topUp = new TopUpRequest([
        'subscriber' => $subscriber->getMsisdn(),
        'amount_micros' => 12_500_000,
        'reference' => 'shop 7, receipt 4711',
    ]);
    $moved = $crm->call('Balances/TopUp', $topUp);
    $again = $crm->call('Balances/TopUp', $topUp);
    echo 'balance ', money($moved->getBalanceMicros(), $moved->getCurrency()), ', and after the same call again ',
        money($again->getBalanceMicros(), $again->getCurrency()), "\n";

    try {
        $crm->call('Balances/TopUp', ['subscriber' => $subscriber->getMsisdn(), 'amount_micros' => -1]);
    } catch (RpcException $error) {
        if ($error->status !== Status::INVALID_ARGUMENT) {
            throw $error;
        }
        foreach ($error->violations as $field => $what) {
            echo "refused: $field is $what\n";
        }
    }

    $token = '';
    do {
        $page = $crm->call('Usage/ListUsage', ['subscriber' => '999700000101', 'page_size' => 2, 'page_token' => $token]);
        foreach ($page->getRecords() as $record) {
            echo gmdate('Y-m-d H:i', $record->getFromS()), " {$record->getService()} {$record->getUnits()}\n";
        }
        $token = $page->getNextPageToken();
    } while ($token !== '');

    if ($cycle !== '') {
        $activity = $crm->call('Billing/QueueBilling', ['cycle' => (int) $cycle, 'dry_run' => true]);
        foreach ($crm->stream('Billing/WatchActivity', ['id' => $activity->getId()], seconds: 300) as $activity) {
            echo "bill run of {$activity->getPeriod()}: {$activity->getState()}, ",
                "{$activity->getDone()} of {$activity->getOf()} accounts\n";
        }
    }
} catch (RpcException $error) {
    fwrite(STDERR, "{$error->method}: {$error->status->name}: {$error->getMessage()} (request {$error->requestId})\n");
    exit(1);
}
