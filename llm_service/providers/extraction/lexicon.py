"""Lists of words, kept as text so that they can be read."""

from __future__ import annotations


def word_list(text: str) -> tuple[str, ...]:
    """The words of a block of text."""
    return tuple(text.split())


STOPWORDS = frozenset(
    word_list(
        """
        и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее её мне было вот от меня
        еще ещё нет о об из ему теперь когда даже ну ли если уже или ни быть был него до вас нибудь опять уж вам ведь там
        потом себя ничего ей может они тут где есть надо ней для мы тебя их чем была сам чтоб чтобы без будто чего раз тоже
        себе под будет ж тогда кто этот эта это эти этого этой этом того потому этого какой совсем ним здесь один одна одно
        почти мой тем нее неё сейчас были куда зачем всех можно при наконец два об другой другие хоть после над больше тот
        через нас про них какая много разве три эту моя впрочем свою своей своего этой перед иногда лучше чуть том такой
        таким таких также им более всегда всю между данный данная данные данного который которая которое которые которых
        которого которой которым наш наша наше наши нашей нашего ваш ваша ваше ваши вашей вашего вашем самый является
        являются составил составила составило составили просим просит прошу сообщить сообщаем г гг ул д руб коп тыс млн шт
        тел стр стороны сторона своих своими около согласно путем путём либо иное иной течение связи случае случаях
        необходимо январь января февраль февраля март марта апрель апреля май мая июнь июня июль июля август августа
        сентябрь сентября октябрь октября ноябрь ноября декабрь декабря год года году лет месяц месяца месяцев день дня
        дней число числа
        a an and are as at be been but by for from had has have he her his i if in into is it its of on or our she that the
        their them then there these they this those to was we were which while who will with would you your not no nor so
        than too can could may might must shall should do does did done about above after again all also any because before
        being below between both down during each few further here how just more most other out over own same some such
        through under until up very what when where why against unless within without except per mr mrs ms dr ltd llc inc
        january february march april june july august september october november december day days month months year years
        use used using makes made make gives give given new one two three first second
        """
    )
)
"""Words that say nothing about a text: function words, months, and the phrases of letters."""
