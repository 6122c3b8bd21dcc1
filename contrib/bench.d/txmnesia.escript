#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% txmnesia.escript DIR SECONDS KEYS FEW: transactions of Mnesia on a disc_copies table.
%% Prints a line of JSON for each load; what they are: see transactions.py.

-define(SIZE, 100).

main([Dir, Seconds, Keys, Few]) ->
    application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    {atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}]),
    Time = round(list_to_float(Seconds) * 1000),
    N = list_to_integer(Keys),
    [ok = mnesia:dirty_write({t, {C, K}, data()})
     || C <- lists:seq(1, 8), K <- lists:seq(0, N - 1)],
    [load("write", Kind, Clients, Writes, N, Time)
     || Kind <- [commit, sync, durable], Clients <- [1, 8], Writes <- [1, 10]],
    F = list_to_integer(Few),
    [ok = mnesia:dirty_write({t, {all, K}, 0}) || K <- lists:seq(0, F - 1)],
    load("add", commit, 8, 2, F, Time),
    mnesia:stop().

data() ->
    binary:copy(<<"x">>, ?SIZE).

load(What, Kind, Clients, Writes, Keys, Time) ->
    Restarts = mnesia:system_info(transaction_restarts),
    Begun = now_us(),
    End = Begun + Time * 1000,
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {self(), client(What, Kind, C, Writes, Keys, End, [])} end)
            || C <- lists:seq(1, Clients)],
    Times = lists:sort(lists:append([receive {P, T} -> T end || P <- Pids])),
    Seconds = (now_us() - Begun) / 1.0e6,
    More = mnesia:system_info(transaction_restarts) - Restarts,
    io:format("{\"what\":\"~s\",\"kind\":\"~s\",\"clients\":~b,\"writes\":~b,\"done\":~b,"
              "\"conflicts\":~b,\"seconds\":~.3f,\"p50_us\":~b,\"p99_us\":~b}~n",
              [What, Kind, Clients, Writes, length(Times), More, Seconds,
               at(Times, 0.5), at(Times, 0.99)]).

at(Times, Share) ->
    lists:nth(max(1, ceil(length(Times) * Share)), Times).

client(What, Kind, C, Writes, Keys, End, Times) ->
    Begun = now_us(),
    case Begun < End of
        true ->
            First = rand:uniform(Keys) - 1,
            {atomic, ok} = run(Kind, work(What, C, First, Writes, Keys)),
            client(What, Kind, C, Writes, Keys, End, [now_us() - Begun | Times]);
        false ->
            Times
    end.

work("write", C, First, Writes, Keys) ->
    Data = data(),
    fun() ->
        [mnesia:write({t, {C, (First + I) rem Keys}, Data}) || I <- lists:seq(1, Writes)], ok
    end;
work("add", _, First, Writes, Keys) ->
    fun() ->
        [add((First + I * 3) rem Keys) || I <- lists:seq(1, Writes)], ok
    end.

add(K) ->
    [{t, Key, N}] = mnesia:read(t, {all, K}),
    mnesia:write({t, Key, N + 1}).

run(commit, Work) ->
    mnesia:transaction(Work);
run(sync, Work) ->
    mnesia:sync_transaction(Work);
run(durable, Work) ->
    Done = mnesia:transaction(Work),
    ok = mnesia:sync_log(),
    Done.

now_us() ->
    erlang:monotonic_time(microsecond).
