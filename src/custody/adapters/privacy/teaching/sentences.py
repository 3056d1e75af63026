"""Sentences with places for names, put together from parts; and sentences without names, which matter as much.

A place is {person}, {place}, {organization} or {address}. A project adds sentences of its own, one a line.
"""

import random
from collections.abc import Sequence

from custody.adapters.privacy.teaching.plain import plain_sentences

Rng = random.Random

DOES = (
    "signed the contract yesterday", "is on leave until March", "never answered my letter", "lives in {place}", "works for {organization}",
    "was born in {place} in 1974", "paid the invoice twice", "asked whether the meeting could start at nine", "lost the keys again",
    "joined {organization} as an engineer", "flew to {place} with two suitcases", "was transferred to the hospital in {place}",
    "complained about the noise", "wants to cancel the subscription", "sent us the blood test results", "has been promoted",
    "bought a used car from {person}", "introduced me to {person}", "wrote the report together with {person}", "plays the cello",
    "did not show up", "is allergic to penicillin", "moved from {place} to {place}", "left the firm after a quarrel with {person}",
    "scored the winning goal", "studied law in {place}", "has an appointment on Monday", "reported the theft to the police",
    "inherited the house at {address}", "rents a flat at {address}", "was seen near {address}", "called about the broken heater",
    "teaches chemistry at {organization}", "sued {organization} over the delay", "transferred 400 euros to {person}",
    "will be replaced by {person}", "needs a visa", "won the chess tournament in {place}", "thanked {person} for the flowers",
    "applied for a loan at {organization}", "is the guardian of {person}", "married {person} in {place}", "drives a lorry",
    "opened an account", "voted against the proposal", "interviewed {person} for the radio", "owns a third of {organization}",
)  # fmt: skip
FRAMES = (
    "{person} {does}.", "{person} {does}", "Yesterday {person} {does}.", "I heard that {person} {does}.", "It seems {person} {does}, as usual.",
    "According to the file, {person} {does}.", "{person}, who {does}, declined to comment.", "My neighbour {person} {does}.",
    "Mr {person} {does}.", "Mrs. {person} {does}.", "Dr. {person} {does}.", "Ms {person} {does}", "our colleague {person} {does}",
    "Both {person} and {person} were invited; {person} {does}.", "The patient, {person}, {does}.", "The tenant {person} {does}.",
    "Is it true that {person} {does}?", "{person} said that {person} {does}.", "Last week the lawyer {person} {does}.",
    "Customer {person} {does} and expects a reply.", "Nobody knows why {person} {does}.", "In 2019 {person} {does}.",
)  # fmt: skip
WHOLE = (
    "Dear {person},", "Hello {person}!", "Hi {person}, any news about the parcel?", "Dear Mr {person}, thank you for your letter.",
    "Kind regards, {person}", "Best, {person}", "Yours sincerely\n{person}\n{organization}", "cc: {person}, {person}", "From: {person}",
    "To: {person}", "Name: {person}", "Signed by {person} on behalf of {organization}", "Contact person: {person}", "Author: {person}",
    "name,city,employer\n{person},{place},{organization}", "{person};{address};{place}", "Ship to: {person}, {address}, {place}",
    "{person}\n{address}\n{place}", "Applicant {person}, resident of {place}", "Please forward this to {person}.", "Ask {person} about it.",
    "I spoke with {person} on the phone.", "This is {person} from {organization}.", "My name is {person}.", "I am {person}, a nurse from {place}.",
    "We met {person} at the airport of {place}.", "A letter for {person} came back.", "Could {person} call me back today?",
    "The keys are with {person}.", "Chaired by {person}; present were {person}, {person} and {person}.", "They named the baby {person}.",
    "The book by {person} sold well in {place}.", "{person}'s flight was delayed.", "We visited {person}'s mother in {place}.",
    "{organization} opened a branch in {place}.", "{organization} announced record profits.", "Shares of {organization} fell by 4 percent.",
    "The merger of {organization} and {organization} failed.", "I used to work at {organization} in {place}.", "Employer: {organization}",
    "Complaint against {organization}, filed in {place}", "The bill from {organization} is wrong.", "My bank is {organization}.",
    "The contract with {organization} ends in June.", "He was a driver for {organization} until 2011.", "{organization}, {address}, {place}",
    "We spent the summer in {place}.", "The road from {place} to {place} is closed.", "It rains a lot in {place}.", "Greetings from {place}!",
    "The mayor of {place} resigned.", "Flights to {place} are cheap in May.", "Place of birth: {place}", "She comes from {place}.",
    "He grew up near {place} and studied in {place}.", "The hospital in {place} is full.", "Deliver it to {address} in {place}.",
    "The meeting is at {address}.", "Our new office: {address}", "They live at {address}, {place}.", "The house at {address} burned down.",
    "User {person} logged in.", "Case 2291: {person} versus {organization}", "Witness: {person}, interviewed at {place}",
    "Photo: {person}/{organization}", "{person} ({organization})", "{person}, 43, {does}.", "Mother: {person}; father: {person}",
    "Thanks to {person} and {person} for proofreading.", "I owe {person} a favour.", "Regards from {person} and the whole team in {place}",
    "Nurse {person} took the pulse.", "Professor {person} of {organization} disagreed.", "Judge {person} adjourned the hearing in {place}.",
    "Captain {person} landed in {place}.", "Attn. {person}", "Invoice recipient: {person}", "Account holder {person}",
    "so i told {person} to wait", "btw {person} says hi", "ok, {person} will bring the cake", "where is {person}?", "ping {person} please",
)  # fmt: skip
SUBJECTS = (
    "The committee", "A customer", "The weather", "My sister", "Our landlord", "Support", "The Board", "Every Employee", "An old friend",
    "The Annual Report", "This ticket", "The nurse", "Nobody", "The Data Protection Officer", "Management", "The invoice", "Your order",
)  # fmt: skip
DID = (
    "was late again", "arrived on Tuesday", "is better than last year", "costs 39 euros", "needs more time", "will be reviewed in April",
    "has not been paid", "contains 12 pages", "explains the second table", "did not work after the update", "was closed without an answer",
    "asked for a copy of the Terms of Service", "returned the printer", "liked the soup", "fell from 80 to 72 percent", "must be signed twice",
)  # fmt: skip
NAMELESS = (
    "Please restart the Router and try again.", "Good Friday is a public holiday.", "The Internet is down.", "HTTP Error 404: Not Found",
    "Click on Settings, then Privacy, then Save.", "Total: 12 items, 340.50 EUR", "I had coffee and toast for breakfast.", "Thanks a lot!",
    "See Chapter 3, Section 2.", "The Quick Start Guide is missing.", "Shopping list: Milk, Bread, Eggs", "Raises ValueError if the key is unknown.",
    "Take one tablet twice a day.", "Monday to Friday, 9 am to 5 pm", "Merry Christmas and a Happy New Year!", "We regret the inconvenience.",
    "Terms and Conditions apply.", "Is the swimming pool open in winter?", "Stir the sauce until it thickens, then add salt.", "No comment.",
    "Our Frequently Asked Questions answer this.", "Version 2.4 fixes a crash in the Export dialog.", "Dear customer,", "Best regards", "Hello!",
    "The Sales Department will reply on Thursday.", "Walk two kilometres north until you reach the lake.", "Red Wine, White Wine, Beer",
    "My old laptop has 8 GB of memory.", "Please find attached the minutes.", "Why was my Account locked?", "The game ended 3 to 1.",
    "Spring is here and the garden needs work.", "Doctor, my knee hurts.", "Order Number 55021 has been shipped.", "Return an empty list.",
)  # fmt: skip


def sentence(rng: Rng, own: Sequence[str] = ()) -> str:
    """Put a sentence together; own: a project's sentences, which are every third one if there are any."""
    chance = rng.random()
    if own and chance < 0.33:
        return rng.choice(own)
    if chance < 0.45:
        return rng.choice(FRAMES).replace("{does}", rng.choice(DOES))
    if chance < 0.76:
        return rng.choice(WHOLE).replace("{does}", rng.choice(DOES))
    if chance < 0.88:
        return rng.choice(plain_sentences())
    if chance < 0.94:
        return f"{rng.choice(SUBJECTS)} {rng.choice(DID)}."
    return rng.choice(NAMELESS)
